/** What must hold, and be there, before QEMU starts. */
import { closeSync, openSync, renameSync, rmSync } from "node:fs";
import { stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";
import { draftOf } from "../host/replace-file.ts";
import { OVMF_VARIABLES } from "./command-line.ts";
import { refuseTakenPorts } from "./forward.ts";
import type { Launcher } from "./launcher.ts";
import type { MachineOptions } from "./options.ts";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** Throws E_VM_NAME, E_NO_SUCH_FILE and E_PORT_TAKEN. */
export async function checkOptions(options: MachineOptions): Promise<void> {
  if (!NAME.test(options.name)) {
    throw new Fault("E_VM_NAME", `"${options.name}" cannot be the name of a machine`, {
      hint: 'a name is made of letters, digits, ".", "_" and "-", and begins with a letter or digit',
    });
  }
  if (options.cdrom !== undefined) await mustBeFile(options.cdrom, "the ISO image");
  for (const [index, disk] of (options.disks ?? []).entries()) await mustBeFile(disk.path, `disk ${index}`);
  if (options.kernel !== undefined) await mustBeFile(options.kernel.image, "the kernel");
  if (options.kernel?.initrd !== undefined) await mustBeFile(options.kernel.initrd, "the initramfs");
  if (options.vsockCid !== undefined) await mustBeVsock("/dev/vhost-vsock");
  await refuseTakenPorts(options.network?.forwards ?? []);
}

async function mustBeFile(file: string, what: string): Promise<void> {
  const full = path.resolve(file);
  const found = await stat(full).catch((error: unknown) => errno(error) ?? String(error));
  if (typeof found === "string") {
    const why = found === "ENOENT" ? "does not exist" : `cannot be read (${found})`;
    throw new Fault("E_NO_SUCH_FILE", `${full}, ${what} of the machine, ${why}`);
  }
  if (!found.isFile() && !found.isBlockDevice()) {
    throw new Fault("E_NO_SUCH_FILE", `${full}, ${what} of the machine, is neither a file nor a block device`);
  }
}

async function mustBeVsock(device: string): Promise<void> {
  const found = await stat(device).catch(() => undefined);
  if (found !== undefined) return;
  throw new Fault("E_NO_SUCH_FILE", `${device} does not exist: this host has no vsock for guests`, {
    hint: "the kernel module vhost_vsock of the host makes it",
  });
}

/** Makes the serial log empty, so that an unwritable place is found before anything runs. Throws E_NO_SUCH_FILE. */
export async function emptyLog(file: string): Promise<void> {
  try {
    await writeFile(file, "");
  } catch (cause) {
    throw new Fault("E_NO_SUCH_FILE", `the serial log ${path.resolve(file)} cannot be written (${errno(cause)})`, {
      cause,
    });
  }
}

/** Copies OVMF's template of the UEFI variables out of the launcher's root, unless the file is there. */
export async function provideVariables(launcher: Launcher, target: string): Promise<void> {
  if ((await stat(target).catch(() => undefined)) !== undefined) return;
  const fresh = draftOf(target);
  const complaints: Buffer[] = [];
  const file = openSync(fresh, "wx", 0o600);
  try {
    const child = launcher.start("cat", [OVMF_VARIABLES], [], { stdio: ["ignore", file, "pipe"] });
    child.stderr?.on("data", (bytes: Buffer) => complaints.push(bytes));
    const status = await new Promise<number | null>((resolve) => {
      child.on("error", (error) => complaints.push(Buffer.from(error.message)));
      child.on("close", resolve);
    });
    if (status !== 0) {
      throw new Fault("E_QEMU_START", `the UEFI variables cannot be read from ${OVMF_VARIABLES}`, {
        details: Buffer.concat(complaints).toString().trim().split("\n"),
      });
    }
    renameSync(fresh, target);
  } finally {
    closeSync(file);
    rmSync(fresh, { force: true });
  }
}
