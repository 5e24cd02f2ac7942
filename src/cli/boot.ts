import { closeSync, existsSync, ftruncateSync, openSync } from "node:fs";
import { constants } from "node:os";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { probeAcceleration } from "../vm/accel.ts";
import { attach } from "../vm/attach.ts";
import { parseForwards } from "../vm/forward.ts";
import { startMachine, type ForwardedPort } from "../vm/machine.ts";
import type { Disk, Network } from "../vm/options.ts";
import { parse, usage, type Command } from "./command.ts";
import { vmLauncher } from "./vm-launcher.ts";
import { print } from "./print.ts";

const help = `
usage: anvil boot [options]

Boots the ISO in QEMU, out of the seed, with this terminal as its console. Ctrl-] powers it off and leaves.

  --iso <file>        the image (default: out/anvilos-phase2.iso)
  --disk <file>       a raw disk image as /dev/vda; made with --disk-size when it does not exist. A disk that an
                      installation has made bootable is booted before the ISO.
  --disk-size <GiB>   size of a disk that is made, sparse (default: 8)
  --memory <MiB>      default: 1024
  --cpus <n>          default: 2, in emulation 1
  --firmware <name>   seabios (default) or ovmf (UEFI)
  --log <file>        keep what the serial port says
  --network <kind>    user (default): the machine reaches what this host reaches, and services on this host's own
                      127.0.0.1 at 10.0.2.2; restricted: it reaches neither, only what is forwarded into it works;
                      none: no network card
  --forward <ports>   <port here>:<port there>, TCP: connections to 127.0.0.1 here go into the machine. May be
                      repeated; <address>:<port here>:<port there> listens on another address of this host
  --name <name>       what other commands call the machine (default: monolith)

examples:
  anvil boot
  anvil boot --disk anvil.img          then, inside: anvil-install /dev/vda
  anvil boot --firmware ovmf --memory 2048
  anvil boot --forward 2222:22         then, elsewhere: ssh -p 2222 root@127.0.0.1

exit status: 0 the machine was powered off, 1 it could not be started, 2 wrong usage, 128 + n ended by signal n
`;

const options = {
  iso: { type: "string" },
  disk: { type: "string" },
  "disk-size": { type: "string", default: "8" },
  memory: { type: "string", default: "1024" },
  cpus: { type: "string" },
  firmware: { type: "string", default: "seabios" },
  log: { type: "string" },
  network: { type: "string", default: "user" },
  // what --network none was called before
  "no-network": { type: "boolean", default: false },
  forward: { type: "string", multiple: true, default: [] as string[] },
  name: { type: "string", default: "monolith" },
} as const;

export const command: Command = {
  summary: "boot the ISO in QEMU, with this terminal as its console",
  help,
  async run(args, project) {
    const { values, positionals } = parse(args, help, options);
    if (positionals.length > 0) throw usage(`"${positionals[0]}" means nothing here`, help);
    const { firmware } = values;
    if (firmware !== "seabios" && firmware !== "ovmf")
      throw usage(`--firmware is seabios or ovmf, not "${firmware}"`, help);
    const network = networkOf(values["no-network"] ? "none" : values.network, values.forward);
    const named = values.iso ?? path.join("out", (await project.targets()).catalogue.image.file);
    const iso = path.resolve(named);
    if (!existsSync(iso)) throw new Fault("E_NO_SUCH_FILE", `there is no ${named}`, { hint: "anvil forge   makes it" });
    const store = project.store;
    const launcher = await vmLauncher(project);
    const acceleration = await probeAcceleration(launcher, { cacheDir: store.paths.top });
    print(`${acceleration.accel === "kvm" ? "KVM" : "emulation (TCG)"}: ${acceleration.why}\n`);
    const disks: Disk[] = [];
    if (values.disk !== undefined) {
      const file = path.resolve(values.disk);
      const size = count(values["disk-size"], "--disk-size", 1, 65536);
      if (!existsSync(file)) makeDisk(file, size);
      disks.push({ path: file, bus: "virtio" });
    }
    const machine = await startMachine({
      name: values.name,
      launcher,
      acceleration,
      memory: count(values.memory, "--memory", 64, 1 << 20),
      ...(values.cpus === undefined ? {} : { cpus: count(values.cpus, "--cpus", 1, 256) }),
      firmware,
      cdrom: iso,
      disks,
      bootOrder: [...disks.map((_, index) => `disk${index}`), "cdrom"],
      console: true,
      session: true,
      ingot: true,
      exec: true,
      stateDir: store.paths.top,
      ...(network === undefined ? {} : { network }),
      ...(values.log === undefined ? {} : { serialLog: path.resolve(values.log) }),
    });
    print(describe(network, machine.forwards));
    const { left } = await attach(machine, { input: process.stdin, output: process.stdout });
    const signal = (constants.signals as Partial<Record<string, number>>)[left === "output closed" ? "SIGPIPE" : left];
    return signal === undefined ? 0 : 128 + signal;
  },
};

/** Undefined for no card. */
function networkOf(kind: string, forwards: readonly string[]): Network | undefined {
  if (!["user", "restricted", "none"].includes(kind))
    throw usage(`--network is user, restricted or none, not "${kind}"`, help);
  const parsed = parseForwards(forwards);
  if (kind === "none" && parsed.length > 0) throw usage("--forward needs a network card: --network restricted", help);
  return kind === "none" ? undefined : { forwards: parsed, restricted: kind === "restricted" };
}

function describe(network: Network | undefined, forwards: readonly ForwardedPort[]): string {
  const lines = forwards.map(({ address, host, guest }) => `port ${guest} of the machine is at ${address}:${host}`);
  if (network?.restricted === false)
    lines.unshift(
      "network: the machine reaches this host's 127.0.0.1 at 10.0.2.2; with --network restricted it does not",
    );
  return lines.map((line) => `${line}\n`).join("");
}

function count(text: string, option: string, least: number, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw usage(`${option} wants a whole number from ${least} to ${most}, not "${text}"`, help);
}

function makeDisk(file: string, gibibytes: number): void {
  let fd: number;
  try {
    fd = openSync(file, "wx");
  } catch (cause) {
    throw new Fault("E_NO_SUCH_FILE", `cannot make ${file}: ${(cause as Error).message}`, { cause });
  }
  ftruncateSync(fd, gibibytes * 2 ** 30);
  closeSync(fd);
}
