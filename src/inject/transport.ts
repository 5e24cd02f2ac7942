/** Lines to a running Monolith: the port of a virtual machine, or a program reached over SSH. */
import { spawn } from "node:child_process";
import { connect as connectSocket, type Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { Fault } from "../fault/fault.ts";
import type { MachineState } from "../vm/state.ts";

export interface Transport {
  /** Who is at the other end, for messages. */
  readonly to: string;
  readonly input: Readable;
  readonly output: Writable;
  /** Factor on all time limits. */
  readonly timeScale: number;
  /** Why the line has ended by itself. */
  whyEnded(): Promise<Fault>;
  close(): void;
}

/** Connects to the port of a running machine. Throws E_NO_MACHINE. */
export async function machineTransport(machine: MachineState): Promise<Transport> {
  const to = `machine "${machine.name}"`;
  if (machine.ingot === undefined)
    throw new Fault("E_NO_MACHINE", `${to} was started without a port for ingots`, {
      hint: "`anvil boot` in another terminal starts one that has it",
    });
  const gone = (): Fault =>
    new Fault("E_INGOT_LOST", `${to} has ended, or the connection to it`, {
      hint: "start it again and repeat the command: what was received is kept where the pool is",
    });
  const socket = await connected(machine.ingot).catch(() => {
    throw gone();
  });
  socket.on("error", () => undefined); // "close" follows
  return {
    to,
    input: socket,
    output: socket,
    timeScale: machine.timeScale,
    whyEnded: () => Promise.resolve(gone()),
    close: () => socket.destroy(),
  };
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

/** The user's own `ssh`, with its configuration, keys and questions. Throws E_USAGE for an address of another form. */
export function sshTransport(address: string): Transport {
  const { destination, port } = parseAddress(address);
  const args = ["-T", "-e", "none", ...port, "--", destination, "anvil-ingot serve --stdio"];
  const child = spawn("ssh", args, { stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-10_000)));
  child.stdin.on("error", () => undefined); // the end of the process says more
  const ended = new Promise<string>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("close", (status, signal) => resolve(signal ?? `status ${status}`));
  });
  return {
    to: destination,
    input: child.stdout,
    output: child.stdin,
    timeScale: 1,
    whyEnded: async () => {
      const how = await ended;
      const lines = said.split("\n").filter((line) => line.trim() !== "");
      return new Fault("E_SSH", `ssh to ${destination} has ended (${how})`, {
        details: lines.slice(-COMPLAINT_LINES),
        hint: `\`ssh ${[...port, destination].join(" ")} anvil-ingot list\` must work`,
      });
    },
    close: () => {
      child.stdin.destroy();
      child.kill();
    },
  };
}

function parseAddress(address: string): { destination: string; port: string[] } {
  const parts = /^ssh:\/\/(?:([^@:/\s]+)@)?(\[[0-9A-Fa-f:.%]+\]|[^@:/\s]+)(?::([0-9]{1,5}))?\/?$/.exec(address);
  const [, user, host = "", port] = parts ?? [];
  if (parts === null || host.startsWith("-") || user?.startsWith("-") === true)
    throw new Fault("E_USAGE", `--to wants ${FORM}, not "${address}"`);
  const name = host.replace(/^\[|\]$/g, "");
  return {
    destination: user === undefined ? name : `${user}@${name}`,
    port: port === undefined ? [] : ["-p", port],
  };
}
