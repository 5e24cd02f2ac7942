/** What the tests of micro virtual machines share: a Monolith with the ingot vmm, and guests in it. */
import assert from "node:assert/strict";
import path from "node:path";
import type { TestContext } from "node:test";
import { vmm } from "../../recipes/ingots/vmm.ts";
import { inject } from "../../src/inject/inject.ts";
import { Ingot } from "../../src/inject/ingot-file.ts";
import { requireKey } from "../../src/inject/key-file.ts";
import { machineDestination } from "../../src/inject/transport.ts";
import type { Disk } from "../../src/vm/options.ts";
import type { Machine } from "../../src/vm/machine.ts";
import { boot, monolith, output } from "../boot/monolith.ts";
import { project } from "../this-project.ts";

/** Where the ingot has the guest, in the Monolith. */
export const GUEST = "/ingots/vmm/active/usr/share/anvil-vmm/guest";

/** Before `timeScale`: guests in an emulated machine are slow, and four of them share one processor. */
const LIMIT = { timeoutMs: 30_000 };

/** A text as one word of the shell. */
export const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** Shell text that prints the resident memory of a monitor without the mapping that is its guest's memory, in KiB. */
export const overhead = (pid: string, memory: number): string => `awk '
  /^[0-9a-f]+-[0-9a-f]+ / { guest = 0 }
  /^Size:/ { guest = $2 >= ${memory * 1024} }
  /^Rss:/ && !guest { sum += $2 }
  END { print sum }
' /proc/${pid}/smaps`;

/** Shell text: a monitor and the process in which its guest runs. */
export const both = (pid: string): string => `${pid} $(pgrep -P ${pid})`;

/** Open files, threads, and resident memory beside the guest's in KiB, of both processes of a machine. */
export interface Held {
  readonly files: number;
  readonly threads: number;
  readonly kilobytes: number;
}

/** A running Monolith with the ingot vmm active. */
export class Host {
  readonly machine: Machine;

  constructor(machine: Machine) {
    this.machine = machine;
  }

  /** Status and output of a command in the Monolith. */
  run(command: string): ReturnType<Machine["console"]["run"]> {
    return this.machine.console.run(command, LIMIT);
  }

  async succeed(command: string): Promise<string> {
    return (await this.machine.console.succeed(command, LIMIT)).trim();
  }

  /** The command fails with that status and a text that begins with the code. */
  async refused(command: string, status: number, expected: RegExp): Promise<void> {
    const result = await this.run(`${command} 2>&1`);
    assert.equal(result.status, status, `${command}\n${result.output}`);
    assert.match(result.output, expected, command);
  }

  /** `anvilctl boot` of the guest that the ingot has, and its shell. */
  async boot(name: string, options = "", parameters = ""): Promise<Guest> {
    const cmdline = `console=ttyS0 reboot=k panic=1 pci=off i8042.noaux i8042.nomux i8042.dumbkbd quiet ${parameters}`;
    const files = `--kernel ${GUEST}/vmlinux --initrd ${GUEST}/guest.cpio`;
    await this.succeed(`anvilctl boot --name ${name} ${files} --cmdline ${quote(cmdline)} --timeout 120 ${options}`);
    const guest = new Guest(this, name);
    await guest.ready();
    return guest;
  }

  /** What a monitor holds; `pid` is its number or shell text for it, `memory` that of its guest in MiB. */
  async held(pid: string, memory: number): Promise<Held> {
    const each = `ls /proc/$p/fd | wc -l; ls /proc/$p/task | wc -l; ${overhead("$p", memory)}`;
    const numbers = (await this.succeed(`p=${pid}; for p in ${both("$p")}; do ${each}; done`)).split(/\s+/).map(Number);
    assert.equal(numbers.length, 6, `two processes: ${numbers.join(" ")}`);
    const sum = (kind: number): number => (numbers[kind] ?? Number.NaN) + (numbers[kind + 3] ?? Number.NaN);
    assert.ok(sum(2) > 0);
    return { files: sum(0), threads: sum(1), kilobytes: sum(2) };
  }

  /** The process in which the guest of a machine runs, and its user. */
  async jail(name: string): Promise<{ readonly process: number; readonly user: number }> {
    const status = await this.succeed(`anvilctl status ${name}`);
    const [, process, user] = /^jail +process (\d+), user (\d+)$/m.exec(status) ?? [];
    assert.ok(process !== undefined, status);
    return { process: Number(process), user: Number(user) };
  }
}

/** A guest, by the shell on its serial port. */
export class Guest {
  readonly name: string;
  readonly #host: Host;
  #commands = 0;

  constructor(host: Host, name: string) {
    this.name = name;
    this.#host = host;
  }

  async ready(): Promise<void> {
    const { status, output } = await this.#host.run(
      `anvilctl console ${this.name} --until 'guest: ready' --timeout 600 < /dev/null 2>&1`,
    );
    assert.equal(status, 0, output);
  }

  /**
   * The output of a command in the guest, which has to succeed. The console repeats what came before, so the end of each
   * command is marked; the quotes keep the mark from being found where it is typed.
   */
  async succeed(command: string): Promise<string> {
    const number = ++this.#commands;
    const typed = `${command}; echo "ended $?:"${number}"."\n`;
    const console = `anvilctl console ${this.name} --until ':${number}.' --timeout 600`;
    const { status, output } = await this.#host.run(`printf %s ${quote(typed)} | ${console} 2>&1`);
    assert.equal(status, 0, output);
    const text = output.replaceAll("\r", "");
    const before = number === 1 ? 0 : text.lastIndexOf(`:${number - 1}.`);
    const said = text.slice(before);
    const ended = new RegExp(`ended (\\d+):${number}\\.`).exec(said);
    assert.equal(ended?.[1], "0", said);
    return said;
  }

  /** Seconds of the guest's clock since it was booted. */
  async uptime(): Promise<number> {
    const said = await this.succeed('read up rest < /proc/uptime; echo "up="$up');
    return Number(/up=([\d.]+)/.exec(said)?.[1]);
  }
}

/**
 * While a nested guest runs in an emulated machine, QEMU (7.2) now and then forgets an interrupt of the local timer: the APIC
 * has it pending, the processor is not told. Then nothing but that guest runs any more, until some other interrupt comes:
 * here, that of a key that does nothing.
 */
function awaken(t: TestContext, machine: Machine): void {
  const key = { keys: [{ type: "qcode", data: "shift" }] };
  const timer = setInterval(() => void machine.qmp.execute("send-key", key).catch(() => undefined), 1000);
  t.after(() => clearInterval(timer));
}

/** The ingot as it is signed and sent, into a Monolith that was just booted. */
export async function hostOfGuests(
  t: TestContext,
  options: { readonly disks?: readonly Disk[]; readonly memory?: number } = {},
): Promise<Host> {
  const { iso } = await monolith();
  const machine = await boot(t, { cdrom: iso, ingot: true, memory: 3072, ...options });
  await machine.console.ready();
  if (machine.timeScale > 1) awaken(t, machine);
  const ingot = await Ingot.ofBody(path.resolve(await output(vmm.body)), requireKey(project.keys));
  try {
    await inject(ingot, machineDestination(machine), {
      allowDowngrade: false,
      signal: new AbortController().signal,
      on: () => undefined,
    });
  } finally {
    await ingot.close();
  }
  // a shell that was there before has its PATH already; programs of ingots are on it
  return new Host(machine);
}
