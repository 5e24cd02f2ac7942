/** A virtual machine: one QEMU process and the lines to it. */
import { closeSync, openSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { errno, Fault } from "../fault/fault.ts";
import { handedFiles, machinePaths, qemuArguments, qemuBinds, type MachinePaths } from "./command-line.ts";
import { Console } from "./console.ts";
import { takenByQemu } from "./forward.ts";
import type { Disk, MachineOptions } from "./options.ts";
import { checkOptions, emptyLog, provideVariables } from "./preparation.ts";
import { identify } from "../host/process.ts";
import { QemuProcess } from "./qemu-process.ts";
import { Qmp } from "./qmp.ts";
import { SerialPort } from "./serial.ts";
import { makeSocketFolder, removeSocketFolder } from "./socket-folder.ts";
import { refuseIfRunning, removeState, writeState } from "./state.ts";
import { guestSeconds, timeoutFault, type TranscriptContext } from "./transcript.ts";

export interface MachineExit {
  /**
   * QEMU's cause of a shutdown ("guest-shutdown", "guest-reset", "host-qmp-quit", …; ShutdownCause in qapi/run-state.json),
   * "killed" after `kill`, "died" when QEMU went without a word.
   */
  readonly reason: string;
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A TCP port of the guest and where it is on this host. */
export interface ForwardedPort {
  readonly guest: number;
  readonly host: number;
  readonly address: string;
}

/** QEMU starts within a second; this is for hosts that swap. */
const START_LIMIT_MS = 60_000;
const POWERDOWN_LIMIT_MS = 60_000;
const EMULATION_SCALE = 10;

/**
 * Starts a machine and resolves when QEMU runs it; the machine ends with this process at the latest. Throws
 * E_NO_SUCH_FILE for media, E_VM_NAME, E_VM_RUNNING, E_PORT_TAKEN, E_DISK_IN_USE, E_TEMP_FOLDER, E_QEMU_START with QEMU's own message.
 */
export async function startMachine(options: MachineOptions): Promise<Machine> {
  await checkOptions(options);
  if (options.stateDir !== undefined) await refuseIfRunning(options.stateDir, options.name);
  const folder = await makeSocketFolder();
  try {
    const paths = machinePaths(folder, options);
    if (options.firmware === "ovmf") await provideVariables(options.launcher, paths.variables);
    if (options.serialLog !== undefined) await emptyLog(options.serialLog);
    return await spawnMachine(options, paths);
  } catch (error) {
    removeSocketFolder(folder);
    throw error;
  }
}

async function spawnMachine(options: MachineOptions, paths: MachinePaths): Promise<Machine> {
  const descriptors = openHanded(options, paths);
  let control, serial, qemu;
  try {
    control = await listen(paths.qmp);
    serial = await listen(paths.serial);
    options.launcher.handOver([paths.folder, paths.qmp, paths.serial]);
    const [args, binds] = [qemuArguments(options, paths), qemuBinds(options, paths)];
    qemu = new QemuProcess(options.launcher, args, binds, paths.folder, descriptors);
  } finally {
    descriptors.forEach(closeSync);
  }
  qemu.atEnd(() => removeSocketFolder(paths.folder));
  try {
    const [qmp, serialSocket] = await orFail(
      qemu,
      options.disks ?? [],
      Promise.all([control.connected.then((socket) => Qmp.over(socket, START_LIMIT_MS)), serial.connected]),
    );
    const forwards = options.network === undefined ? [] : parseForwards(await qmp.human("info usernet"));
    const machine = new Machine(options, paths, qemu, qmp, serialSocket, forwards);
    if (options.stateDir !== undefined) await publish(options.stateDir, machine, qemu, options, paths);
    return machine;
  } catch (error) {
    qemu.kill();
    await qemu.ended;
    throw error;
  } finally {
    control.server.close();
    serial.server.close();
  }
}

export class Machine {
  readonly name: string;
  readonly qmp: Qmp;
  readonly serial: SerialPort;
  readonly forwards: readonly ForwardedPort[];
  /** Path of the unix socket of the port for ingots; it serves one client at a time. */
  readonly ingot: string | undefined;
  /** Factor on all time limits. */
  readonly timeScale: number;
  readonly #qemu: QemuProcess;
  readonly #console: Console | undefined;
  readonly #context: TranscriptContext;
  readonly #exit: Promise<MachineExit>;
  readonly #endsOnReset: boolean;
  #reason: string | undefined;

  /** For `startMachine`. */
  constructor(
    options: MachineOptions,
    paths: MachinePaths,
    qemu: QemuProcess,
    qmp: Qmp,
    serialSocket: Socket,
    forwards: readonly ForwardedPort[],
  ) {
    this.name = options.name;
    this.qmp = qmp;
    this.forwards = forwards;
    this.ingot = options.ingot === true ? paths.ingot : undefined;
    this.timeScale = timeScale(options);
    this.#qemu = qemu;
    this.#endsOnReset = options.endsOnReset === true;
    this.#context = {
      label: `the serial port of ${options.name}`,
      timeScale: this.timeScale,
      evidence: () => this.#evidence(),
      log: options.serialLog,
    };
    this.serial = new SerialPort(serialSocket, this.#context);
    const serialEnd = new Promise<void>((resolve) => serialSocket.once("close", () => resolve()));
    this.#exit = Promise.all([qemu.ended, serialEnd]).then(([end]) => this.#finish(end));
    this.#console =
      options.console === true
        ? new Console({
            ...this.#context,
            label: `the console of ${options.name}`,
            socket: paths.console,
            whyClosed: () => this.#exit.then((exit) => this.#exitFault(exit)),
          })
        : undefined;
    qmp.onEvent(({ event, data }) => {
      if (event === "RESET") this.#console?.forget();
      if (event === "SHUTDOWN") this.#reason ??= String(data["reason"]);
    });
  }

  /** Process id of QEMU, or of the sandbox around it. */
  get pid(): number {
    return this.#qemu.pid ?? 0;
  }

  /** The shell on the virtio console. Throws an Error for a machine that was started without one. */
  get console(): Console {
    if (this.#console === undefined) throw new Error(`machine "${this.name}" was started without a console`);
    return this.#console;
  }

  /** Resolves when QEMU has ended and all its output was read. */
  wait(): Promise<MachineExit> {
    return this.#exit;
  }

  /** Presses the power button and waits until the guest has shut itself down. Throws E_VM_TIMEOUT when it does not. */
  async powerdown(options: { readonly timeoutMs?: number } = {}): Promise<MachineExit> {
    const limit = (options.timeoutMs ?? POWERDOWN_LIMIT_MS) * this.timeScale;
    await this.qmp.execute("system_powerdown");
    return within(limit, this.#exit, () => timeoutFault(this.#context, `${this.name} to shut itself down`, limit));
  }

  /** Presses the reset button. A machine with `endsOnReset` ends. */
  async reset(): Promise<void> {
    const done = this.qmp.nextEvent("RESET");
    try {
      await Promise.all([done, this.qmp.execute("system_reset")]);
    } catch (error) {
      if (!this.#endsOnReset) throw error;
      await this.#exit; // before it has answered
    }
  }

  /** Ends QEMU at once, as a power cut does. */
  kill(): Promise<MachineExit> {
    this.#reason ??= "killed";
    this.#qemu.kill();
    return this.#exit;
  }

  /** Kernel time in seconds of the first serial line that matches and carries a stamp; see `guestSeconds`. */
  guestSeconds(pattern: RegExp): number | undefined {
    return guestSeconds(this.serial.lines(), pattern);
  }

  #evidence(): string[] {
    const lines = this.serial.tail(20);
    return [
      ...this.#qemu.complaints().map((line) => `QEMU: ${line}`),
      ...(lines.length === 0 ? ["nothing came from the serial port"] : ["last lines of the serial port:", ...lines]),
    ];
  }

  #finish({ status, signal }: { status: number | null; signal: NodeJS.Signals | null }): MachineExit {
    const exit = { reason: this.#reason ?? "died", status, signal };
    this.serial.end(this.#exitFault(exit));
    return exit;
  }

  #exitFault({ reason, status, signal }: MachineExit): Fault {
    const how = reason === "died" ? (signal ?? `status ${status}`) : reason;
    return new Fault("E_QEMU_EXIT", `machine "${this.name}" has ended (${how})`, {
      details: this.#evidence(),
      ...(this.#context.log === undefined ? {} : { log: this.#context.log }),
    });
  }
}

function timeScale(options: MachineOptions): number {
  return options.timeScale ?? (options.acceleration.accel === "kvm" ? 1 : EMULATION_SCALE);
}

async function publish(
  stateDir: string,
  machine: Machine,
  qemu: QemuProcess,
  options: MachineOptions,
  paths: MachinePaths,
): Promise<void> {
  const identity = identify(machine.pid);
  if (identity === undefined) return; // it has ended already
  await writeState(stateDir, {
    name: machine.name,
    process: identity,
    qmp: paths.control,
    console: options.console === true ? paths.console : undefined,
    session: options.session === true ? paths.session : undefined,
    ingot: machine.ingot,
    exec: options.exec === true ? paths.exec : undefined,
    serialLog: options.serialLog,
    timeScale: machine.timeScale,
    forwards: machine.forwards,
    started: new Date().toISOString(),
  });
  qemu.atEnd(() => removeState(stateDir, machine.name));
}

/** Descriptors of the files that QEMU is handed. Throws E_NO_SUCH_FILE. */
function openHanded(options: MachineOptions, paths: MachinePaths): number[] {
  const opened: number[] = [];
  for (const { path, mode } of handedFiles(options, paths)) {
    try {
      opened.push(openSync(path, mode));
    } catch (cause) {
      opened.forEach(closeSync);
      throw new Fault("E_NO_SUCH_FILE", `${path} of the machine cannot be opened (${errno(cause)})`, { cause });
    }
  }
  return opened;
}

/** A unix socket that QEMU connects to once. */
async function listen(path: string): Promise<{ server: Server; connected: Promise<Socket> }> {
  const server = createServer();
  const connected = new Promise<Socket>((resolve) => {
    server.once("connection", (socket) => {
      socket.on("error", () => undefined); // "close" follows
      resolve(socket);
    });
  });
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(path, resolve));
  return { server, connected };
}

/** What `ready` gives, unless QEMU ends or takes too long: E_QEMU_START with its message. */
function orFail<T>(qemu: QemuProcess, disks: readonly Disk[], ready: Promise<T>): Promise<T> {
  const fault = (how: string): Fault => new Fault("E_QEMU_START", `QEMU ${how}`, { details: qemu.complaints() });
  const ended = qemu.ended.then(({ pid, status, signal }) => {
    throw (
      takenByQemu(qemu.complaints()) ??
      inUse(qemu.complaints(), disks) ??
      fault(pid === undefined ? "cannot be run" : `did not start (${signal ?? `status ${status}`})`)
    );
  });
  // when QEMU ends its connections break first, but the process knows why
  const started = ready.catch(() => ended);
  return within(START_LIMIT_MS, Promise.race([started, ended]), () => fault("does not answer"));
}

/** What QEMU says of a disk that another QEMU writes to; anything else is undefined. */
function inUse(complaints: readonly string[], disks: readonly Disk[]): Fault | undefined {
  const said = complaints.find((line) => /Failed to get "\w+" lock/.test(line));
  if (said === undefined) return undefined;
  const disk = disks[Number(/drive=disk([0-9]+)/.exec(said)?.[1] ?? NaN)];
  return new Fault("E_DISK_IN_USE", `${disk?.path ?? "a disk"} is in use by another machine`, {
    details: [said],
    hint: "end that machine first, or boot a copy of the disk",
  });
}

async function within<T>(limitMs: number, awaited: Promise<T>, late: () => Fault): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), limitMs);
  });
  try {
    return await Promise.race([awaited, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** Reads `info usernet`: a table with rows `TCP[HOST_FORWARD] <fd> <host address> <port> <guest address> <port> …`. */
function parseForwards(table: string): ForwardedPort[] {
  return [...table.matchAll(/^\s*TCP\[HOST_FORWARD\]\s+\d+\s+(\S+)\s+(\d+)\s+\S+\s+(\d+)/gm)].map(
    ([, address = "", host, guest]) => ({ guest: Number(guest), host: Number(host), address }),
  );
}
