/**
 * Who owns what stands in a shared folder, and whether it still lives. In the same process namespace /proc says it. A
 * process of another one (two containers that share a cache folder) cannot be seen there: each owner therefore listens
 * on a unix socket in the folder, as long as it lives. The kernel answers in its place, however busy it is, and refuses
 * once it is dead, whatever it died of. A socket with a name in a file system is found across process and network
 * namespaces of one machine, not from another machine.
 */
import { closeSync, existsSync, mkdirSync, openSync, renameSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import path from "node:path";
import { errno } from "../fault/fault.ts";
import { fileSystemOf } from "./file-system.ts";
import { bootId, identifySelf, isComparable, isRunning, pidSpace, type ProcessIdentity } from "./process.ts";

/** Ends the name of an owner that cannot be asked: its file system has no sockets. */
const MUTE = "m";

export class Owners {
  readonly #folder: string;
  /** By folder: one process has one name in each. */
  static readonly #names = new Map<string, string>();

  /** @param folder where owners listen; it is made */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** A name that no other process, now or after a reboot, uses. From the first call on others can ask for it. */
  self(): string {
    let name = Owners.#names.get(this.#folder);
    if (name === undefined) {
      name = ownerName(identifySelf());
      if (!listen(this.#folder, name)) name += MUTE;
      Owners.#names.set(this.#folder, name);
    }
    return name;
  }

  /** The process has nothing there any more: nobody is told that it lives. */
  leave(): void {
    Owners.#names.delete(this.#folder);
    const server = listening.get(this.#folder);
    listening.delete(this.#folder);
    server?.close();
  }

  /** One that cannot be asked, also for being of another machine that shares a network file system, counts as alive. */
  async isAlive(owner: string): Promise<boolean> {
    const identity = parseOwner(owner);
    if (identity === undefined) return false;
    if (isComparable(identity)) return isRunning(identity);
    if (identity.boot !== bootId()) return fileSystemOf(this.#folder)?.network === true;
    return owner.endsWith(MUTE) || answers(this.#folder, owner);
  }
}

const ownerName = ({ pid, startTicks, boot, space }: ProcessIdentity): string =>
  `${pid}.${startTicks}.${boot}.${space}`;

/** Also names of earlier versions, which have no namespace; what a power cut left is none. */
function parseOwner(owner: string): ProcessIdentity | undefined {
  const [, pid, startTicks, boot, space] = /^(\d+)\.(\d+)\.([0-9a-f-]{36})(?:\.(\d+)m?)?$/.exec(owner) ?? [];
  if (pid === undefined || boot === undefined) return undefined;
  return { pid: Number(pid), startTicks: Number(startTicks), boot, ...(space === undefined ? {} : { space }) };
}

/** The owner's name at the beginning of a file's name, which a dot follows. */
export function ownerIn(name: string): string | undefined {
  return /^\d+\.\d+\.[0-9a-f-]{36}(?:\.\d+m?(?=\.))?(?=\.)/.exec(name)?.[0];
}

/** An owner on another machine, or on this one before it was restarted: nobody here can ask it. */
export function isElsewhere(owner: string): boolean {
  return parseOwner(owner)?.boot !== bootId();
}

/** For messages: "process 12", and where it is when not here. */
export function describeOwner(owner: string): string {
  const identity = parseOwner(owner);
  if (identity === undefined) return "an unknown process";
  const process = `process ${identity.pid}`;
  if (identity.space !== undefined && identity.space !== pidSpace()) return `${process} of another container`;
  return process;
}

/** By folder. */
const listening = new Map<string, { readonly file: string; close(): void }>();

let clearsUp = false;

/**
 * Says false where no socket can be made. It appears under its name only when it answers: else somebody could ask between
 * bind(2) and listen(2) and take its owner for dead.
 */
function listen(folder: string, name: string): boolean {
  mkdirSync(folder, { recursive: true });
  const draft = `new.${name}`;
  const server = createServer((socket) => socket.destroy());
  server.on("error", () => undefined);
  inFolder(folder, (short) => server.listen(path.join(short, draft)));
  if (!existsSync(path.join(folder, draft))) return false;
  server.unref();
  try {
    renameSync(path.join(folder, draft), path.join(folder, name));
  } catch {
    // somebody who cleared up asked the draft just then
    return false;
  }
  if (!clearsUp) process.on("exit", () => listening.forEach(({ file }) => rmSync(file, { force: true })));
  clearsUp = true;
  const file = path.join(folder, name);
  const close = (): void => {
    rmSync(file, { force: true });
    server.close();
  };
  listening.set(folder, { file, close });
  return true;
}

/** Whether somebody listens. Only a refusal, or no socket, is a no: a full queue is a yes. */
async function answers(folder: string, name: string): Promise<boolean> {
  if (!existsSync(folder)) return false;
  return inFolder(
    folder,
    (short) =>
      new Promise<boolean>((resolve) => {
        const socket = connect(path.join(short, name));
        const end = (alive: boolean): void => {
          socket.destroy();
          resolve(alive);
        };
        socket.once("connect", () => end(true));
        socket.once("error", (error) => end(!["ECONNREFUSED", "ENOENT"].includes(errno(error) ?? "")));
      }),
  );
}

/** A short path of a folder for the time of `act`: the address of a socket holds only 107 bytes, see unix(7). */
function inFolder<T>(folder: string, act: (short: string) => T): T {
  const fd = openSync(folder, "r");
  // bind and connect happen within the call
  try {
    return act(`/proc/self/fd/${fd}`);
  } finally {
    closeSync(fd);
  }
}
