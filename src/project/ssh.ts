/** Commands of a system that the user's own `ssh` reaches. */
import { spawn, type ChildProcess } from "node:child_process";
import { constants } from "node:os";
import { text } from "node:stream/consumers";
import { Fault } from "../fault/fault.ts";
import { sshCommand, sshFault } from "../inject/transport.ts";
import { join, stdioOf, type Streams } from "./streams.ts";

/** Status of ssh itself when it fails. */
const SSH_FAILED = 255;

export interface Ran {
  readonly status: number;
  readonly output: string;
  /** What ssh and the command complained of. */
  readonly complaints: string;
}

/** On these streams, as a terminal's session. The status is the command's, or 255. Throws E_SSH when there is no ssh. */
export async function sessionOverSsh(to: string, command: string, streams: Streams): Promise<number> {
  const child = spawn("ssh", sshCommand(to, command, true), { stdio: stdioOf(streams) });
  join(child, streams);
  return ended(child);
}

/** Questions of ssh go to the terminal all the same. Throws E_SSH. */
export async function runOverSsh(to: string, command: string, trial: string): Promise<Ran> {
  const args = sshCommand(to, command, false);
  const child = spawn("ssh", args, { stdio: ["ignore", "pipe", "pipe"] });
  const [status, output, complaints] = await Promise.all([ended(child), text(child.stdout), text(child.stderr)]);
  if (status === SSH_FAILED) throw sshFault(`ssh to ${to} has failed`, complaints, args.slice(1, -1), trial);
  return { status, output, complaints };
}

function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on("error", (cause) => reject(new Fault("E_SSH", `ssh cannot be started: ${cause.message}`, { cause })));
    child.on("close", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}
