import { constants } from "node:os";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { boot, type BootRequest } from "../project/boot.ts";
import { attach } from "../vm/attach.ts";
import { parseForwards } from "../vm/forward.ts";
import type { ForwardedPort } from "../vm/machine.ts";
import type { Network } from "../vm/options.ts";
import { command as define } from "./command.ts";
import { flag, wholeNumber } from "./options.ts";

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

export const command = define({
  summary: "boot the ISO in QEMU, with this terminal as its console",
  help,
  options: {
    iso: { type: "string" },
    disk: { type: "string" },
    "disk-size": { type: "string", default: "8" },
    memory: { type: "string", default: "1024" },
    cpus: { type: "string" },
    firmware: { type: "string", default: "seabios" },
    log: { type: "string" },
    network: { type: "string", default: "user" },
    // what --network none was called before
    "no-network": flag,
    forward: { type: "string", multiple: true, default: [] as string[] },
    name: { type: "string", default: "monolith" },
  },
  async run({ values, project, terminal }) {
    const { name, iso, disk, cpus, firmware, log } = values;
    if (firmware !== "seabios" && firmware !== "ovmf")
      throw new Fault("E_USAGE", `--firmware is seabios or ovmf, not "${firmware}"`);
    const network = networkOf(values["no-network"] ? "none" : values.network, values.forward);
    const gibibytes = wholeNumber(values["disk-size"], "--disk-size", 1, 65536);
    const request: BootRequest = {
      name,
      iso,
      firmware,
      network,
      disk: disk === undefined ? undefined : { file: path.resolve(disk), gibibytes },
      memory: wholeNumber(values.memory, "--memory", 64, 1 << 20),
      cpus: cpus === undefined ? undefined : wholeNumber(cpus, "--cpus", 1, 256),
      serialLog: log === undefined ? undefined : path.resolve(log),
    };
    const machine = await boot(project, request, ({ accel, why }) =>
      terminal.print(`${accel === "kvm" ? "KVM" : "emulation (TCG)"}: ${why}\n`),
    );
    terminal.lines(describe(network, machine.forwards));
    const { left } = await attach(machine, terminal.streams);
    const signal = (constants.signals as Partial<Record<string, number>>)[left === "output closed" ? "SIGPIPE" : left];
    return signal === undefined ? 0 : 128 + signal;
  },
});

/** Undefined for no card. */
function networkOf(kind: string, forwards: readonly string[]): Network | undefined {
  if (!["user", "restricted", "none"].includes(kind))
    throw new Fault("E_USAGE", `--network is user, restricted or none, not "${kind}"`);
  const parsed = parseForwards(forwards);
  if (kind === "none" && parsed.length > 0)
    throw new Fault("E_USAGE", "--forward needs a network card: --network restricted");
  return kind === "none" ? undefined : { forwards: parsed, restricted: kind === "restricted" };
}

function describe(network: Network | undefined, forwards: readonly ForwardedPort[]): string[] {
  const ports = forwards.map(({ address, host, guest }) => `port ${guest} of the machine is at ${address}:${host}`);
  if (network?.restricted !== false) return ports;
  return [
    "network: the machine reaches this host's 127.0.0.1 at 10.0.2.2; with --network restricted it does not",
    ...ports,
  ];
}
