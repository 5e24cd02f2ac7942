/** Lines to a running Monolith: the port of a virtual machine, or a program reached over SSH. */
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { existsSync } from "node:fs";
import { connect as connectSocket, type Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { Fault } from "../fault/fault.ts";
import type { MachineState } from "../vm/state.ts";

/** Where a Monolith is. */
export interface Destination {
  /** For messages. */
  readonly to: string;
  /** Factor on all time limits. */
  readonly timeScale: number;
  /** How long an answer to the greeting is awaited, in milliseconds; each time over a new line. */
  readonly patience: readonly number[];
  open(): Promise<Transport>;
}

export interface Transport {
  readonly input: Readable;
  readonly output: Writable;
  /** Why the line has ended by itself. */
  whyEnded(): Promise<Fault>;
  close(): void;
}

/** The port of a running machine, which may just be starting. Throws E_NO_MACHINE when it has none. */
export function machineDestination(machine: Pick<MachineState, "name" | "ingot" | "timeScale">): Destination {
  const { name, ingot, timeScale } = machine;
  const to = `machine "${name}"`;
  if (ingot === undefined)
    throw new Fault("E_NO_MACHINE", `${to} was started without a port for ingots`, {
      hint: "`anvil boot` in another terminal starts one that has it",
    });
  return { to, timeScale, patience: [10_000, 20_000], open: () => openPort(to, ingot) };
}

/** Throws E_INGOT_LOST. */
function openPort(to: string, path: string): Promise<Transport> {
  const gone = (): Fault =>
    new Fault("E_INGOT_LOST", `${to} has ended, or the connection to it`, {
      hint: "start it again and repeat the command: what was received is kept where the pool is",
    });
  return openSocket(path, gone);
}

/** The port of a running machine for the streams of a command. Throws E_NO_MACHINE when it has none, E_EXEC_LOST. */
export async function openExecPort({ name, exec }: Pick<MachineState, "name" | "exec">): Promise<Transport> {
  if (exec === undefined)
    throw new Fault("E_NO_MACHINE", `machine "${name}" was started without a port for commands`, {
      hint: "`anvil boot` in another terminal starts one that has it",
    });
  const gone = (): Fault => new Fault("E_EXEC_LOST", `machine "${name}" has ended, or the connection to it`);
  return openSocket(exec, gone);
}

async function openSocket(path: string, gone: () => Fault): Promise<Transport> {
  const socket = await connected(path).catch(() => {
    throw gone();
  });
  socket.on("error", () => undefined); // "close" follows
  return { input: socket, output: socket, whyEnded: () => Promise.resolve(gone()), close: () => socket.destroy() };
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket(path);
    socket.once("connect", () => resolve(socket));
    socket.once("error", reject);
  });
}

const FORM = "ssh://[user@]host[:port]";
/** What ssh said last is shown when it fails. */
const COMPLAINT_LINES = 10;

/** Lines may be slow, and somebody may have to type a password. A dead one ends ssh. */
const SSH_TIME_SCALE = 10;
const SSH_PATIENCE = 12_000;

/** The user's own `ssh`, with its configuration, keys and questions. Throws E_USAGE for an address of another form. */
export function sshDestination(address: string): Destination {
  const { to, port } = parseAddress(address);
  return { to, timeScale: SSH_TIME_SCALE, patience: [SSH_PATIENCE], open: () => Promise.resolve(startSsh(to, port)) };
}

function startSsh(to: string, port: readonly string[]): Transport {
  const args = ["-T", "-e", "none", ...port, "--", to, "anvil-ingot serve --stdio"];
  const child = spawn("ssh", args, { stdio: ["pipe", "pipe", "pipe"] });
  return transportOf(child, to, port, "anvil-ingot list");
}

/** What a shell that does not find a program ends with. */
const NOT_FOUND = 127;

/**
 * `anvil-exec` in a system that is reached by ssh. Ctrl-C is for the command there, and not for ssh, to which the terminal
 * would send it as well: what a process ignores, those that it starts ignore too. Throws E_USAGE for an address of
 * another form.
 */
export function execOverSsh(address: string, token: string, command: string): Transport {
  const { to, port } = parseAddress(address);
  const there = `. /etc/profile; command -v anvil-exec >/dev/null || exit ${NOT_FOUND}; exec anvil-exec --stdio ${token} ${quoted(command)}`;
  const args = ["-T", "-e", "none", ...port, "--", to, there];
  const child = existsSync(SHELL)
    ? spawn(SHELL, ["-c", `trap '' INT QUIT; exec ssh "$@"`, "ssh", ...args], { stdio: ["pipe", "pipe", "pipe"] })
    : spawn("ssh", args, { stdio: ["pipe", "pipe", "pipe"] });
  return transportOf(child, to, port, "anvil-exec --help");
}

const SHELL = "/bin/sh";

/** A word of shell. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** @param trial what must work there when the user tries it by hand */
function transportOf(
  child: ChildProcessWithoutNullStreams,
  to: string,
  port: readonly string[],
  trial: string,
): Transport {
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-10_000)));
  child.stdin.on("error", () => undefined); // the end of the process says more
  const ended = new Promise<string>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("close", (status, signal) => resolve(signal ?? `status ${status}`));
  });
  const whyEnded = async (): Promise<Fault> => {
    const how = await ended;
    if (how === `status ${NOT_FOUND}` && trial.startsWith("anvil-exec"))
      return new Fault("E_EXEC_ABSENT", `${to} has no anvil-exec, or this machine no ssh`, {
        details: complaintsOf(said),
        hint: "a system that was forged by an older `anvil` has none: forge a new one",
      });
    return sshFault(`ssh to ${to} has ended (${how})`, said, [...port, to], trial);
  };
  const close = (): void => {
    child.stdin.destroy();
    child.kill();
  };
  return { input: child.stdout, output: child.stdin, whyEnded, close };
}

function complaintsOf(said: string): string[] {
  return said
    .split("\n")
    .filter((line) => line.trim() !== "")
    .slice(-COMPLAINT_LINES);
}

/** @param words of ssh that lead there */
export function sshFault(message: string, said: string, words: readonly string[], trial: string): Fault {
  const by = words.filter((word) => word !== "--");
  const [host = ""] = by.slice(-1).map((word) => word.replace(/^.*@/, ""));
  const port = by[by.indexOf("-p") + 1];
  const known = by.includes("-p") && port !== "22" ? `'[${host}]:${port}'` : host;
  return new Fault("E_SSH", message, {
    details: complaintsOf(said),
    hint: said.includes("HOST IDENTIFICATION HAS CHANGED")
      ? `a system that runs from the ISO has a new key after every start; if this is one of yours: ssh-keygen -R ${known}`
      : `\`ssh ${by.join(" ")} ${trial}\` must work`,
  });
}

/** Arguments of ssh that run a command there, on a terminal or not. Throws E_USAGE. */
export function sshCommand(address: string, command: string, terminal: boolean): string[] {
  const { to, port } = parseAddress(address);
  return [terminal ? "-t" : "-T", ...port, "--", to, command];
}

function parseAddress(address: string): { to: string; port: string[] } {
  const parts = /^ssh:\/\/(?:([^@:/\s]+)@)?(\[[0-9A-Fa-f:.%]+\]|[^@:/\s]+)(?::([0-9]{1,5}))?\/?$/.exec(address);
  const [, user, host = "", port] = parts ?? [];
  if (parts === null || host.startsWith("-") || user?.startsWith("-") === true)
    throw new Fault("E_USAGE", `--to wants ${FORM}, not "${address}"`);
  const name = host.replace(/^\[|\]$/g, "");
  return {
    to: user === undefined ? name : `${user}@${name}`,
    port: port === undefined ? [] : ["-p", port],
  };
}
