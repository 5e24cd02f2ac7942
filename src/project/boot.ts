/** Boots an image in QEMU, out of the seed. */
import { closeSync, constants, existsSync, ftruncateSync, openSync, readSync } from "node:fs";
import path from "node:path";
import { Fault, reasonOf } from "../fault/fault.ts";
import { DESCRIPTORS_AT, isIso9660 } from "../format/iso9660.ts";
import { probeAcceleration, type Acceleration } from "../vm/accel.ts";
import { startMachine, type Machine } from "../vm/machine.ts";
import type { Disk, Network } from "../vm/options.ts";
import { vmLauncher } from "./launcher.ts";
import type { Project } from "./project.ts";

export interface BootRequest {
  /** What other commands call the machine. */
  readonly name: string;
  /** An image; undefined is the one that `anvil forge` puts into out/. */
  readonly iso: string | undefined;
  /** A raw disk image, made with this many GiB when it does not exist. */
  readonly disk: { readonly file: string; readonly gibibytes: number } | undefined;
  /** MiB. */
  readonly memory: number;
  readonly cpus: number | undefined;
  readonly firmware: "seabios" | "ovmf";
  readonly serialLog: string | undefined;
  /** Undefined for no card. */
  readonly network: Network | undefined;
}

/** Throws E_NO_SUCH_FILE, E_NO_ISO, E_NO_INPUTS, E_CACHE_NOEXEC; `onAcceleration` is told before the machine is started. */
export async function boot(
  project: Project,
  { name, iso, disk, memory, cpus, firmware, serialLog, network }: BootRequest,
  onAcceleration: (acceleration: Acceleration) => void,
): Promise<Machine> {
  const named = iso ?? path.join("out", (await project.targets()).catalogue.image.file);
  requireIso(named);
  const { top } = project.store.paths;
  const launcher = await vmLauncher(project);
  const acceleration = await probeAcceleration(launcher, { cacheDir: top });
  onAcceleration(acceleration);
  const disks = disk === undefined ? [] : [diskOf(disk)];
  return startMachine({
    name,
    launcher,
    acceleration,
    memory,
    ...(cpus === undefined ? {} : { cpus }),
    firmware,
    cdrom: path.resolve(named),
    disks,
    bootOrder: [...disks.map((_, index) => `disk${index}`), "cdrom"],
    console: true,
    session: true,
    ingot: true,
    exec: true,
    stateDir: top,
    ...(network === undefined ? {} : { network }),
    ...(serialLog === undefined ? {} : { serialLog }),
  });
}

/** The firmware would boot nothing of another file, and say no more than that. */
function requireIso(file: string): void {
  if (!existsSync(file)) throw new Fault("E_NO_SUCH_FILE", `there is no ${file}`, { hint: "anvil forge   makes it" });
  if (isIso9660(beginningOf(file))) return;
  throw new Fault("E_NO_ISO", `${file} is no ISO`, {
    details: ["it has no volume descriptor of ISO 9660 at byte 32768"],
    hint: "--iso <file> names another; a disk that was installed to is booted with --disk <file>",
  });
}

function beginningOf(file: string): Buffer {
  const bytes = Buffer.alloc(6);
  try {
    const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, DESCRIPTORS_AT));
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    throw new Fault("E_NO_SUCH_FILE", `cannot read ${file}: ${reasonOf(cause)}`, { cause });
  }
}

function diskOf({ file, gibibytes }: NonNullable<BootRequest["disk"]>): Disk {
  if (!existsSync(file)) makeDisk(file, gibibytes);
  return { path: file, bus: "virtio" };
}

function makeDisk(file: string, gibibytes: number): void {
  let fd: number;
  try {
    fd = openSync(file, "wx");
  } catch (cause) {
    throw new Fault("E_NO_SUCH_FILE", `cannot make ${file}: ${reasonOf(cause)}`, { cause });
  }
  ftruncateSync(fd, gibibytes * 2 ** 30);
  closeSync(fd);
}
