/**
 * Who commands in a sandbox are for the kernel. A user's forge gives them that user's id, in a user namespace of theirs.
 * Root's must not: with the kernel's id 0 a process without any capability can still write most of /proc/sys and open
 * root's devices and files. Root's sandboxes have an id that nobody else has.
 */
import { spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  lchownSync,
  lstatSync,
  openSync,
  readFileSync,
  statSync,
} from "node:fs";
import { errno, Fault } from "../fault/fault.ts";
import { walk } from "../store/tree.ts";
import { holderProgram } from "./holder.ts";
import { relativeProgram } from "./program.ts";

/** Who a command finds itself to be, whatever the kernel calls it. */
export const INNER_ID = 1000;

export interface SandboxUser {
  /** The kernel's id, of user and group, when it is not the forge's own. */
  readonly other?: {
    readonly id: number;
    /** Process that holds the user namespaces. */
    readonly holder: number;
    /** Its descriptor of the namespace in which the sandbox is made; the commands' namespace is its own. */
    readonly outer: number;
    /** Descriptors of this process of both namespaces; undefined where it may not open them, but its sandboxes may. */
    readonly opened?: readonly [outer: number, inner: number];
  };
}

let known: Promise<SandboxUser> | undefined;

/**
 * The same for the whole life of this process. Throws E_ROOT_SANDBOX when root cannot give its sandboxes another id.
 * @param seedTree a seed with perl and cat
 */
export function sandboxUser(seedTree: string): Promise<SandboxUser> {
  known ??= findUser(seedTree);
  // a later attempt may find the machine mended
  known.catch(() => (known = undefined));
  return known;
}

async function findUser(seedTree: string): Promise<SandboxUser> {
  if (process.getuid?.() !== 0) return {};
  try {
    return { other: await hold(seedTree) };
  } catch (error) {
    // root of a user namespace in which there is no other id: outside it is somebody without rights
    if (!isKernelRoot()) return {};
    throw new Fault("E_ROOT_SANDBOX", "root cannot give its sandboxes an id of their own here", {
      details: [(error as Error).message],
      hint: "run as a user other than root; or give the container CAP_SETUID, CAP_SETGID and CAP_SETFCAP, user namespaces, and more than one id",
      cause: error,
    });
  }
}

async function hold(seedTree: string): Promise<NonNullable<SandboxUser["other"]>> {
  const [uids, gids] = [mappedIds("/proc/self/uid_map"), mappedIds("/proc/self/gid_map")];
  const id = chooseId(uids, gids);
  if (id === undefined) throw new Error("no other id is mapped in this user namespace: /proc/self/uid_map");
  const perl = relativeProgram("usr/bin/perl", ["-e", holderProgram, String(id), swapMap(uids, id), swapMap(gids, id)]);
  const cat = relativeProgram("usr/bin/cat", []);
  const child = spawn(perl.command, [...perl.args, cat.command, ...cat.args], {
    cwd: seedTree,
    env: {},
    stdio: ["pipe", "pipe", "pipe"],
    // a Ctrl-C in the terminal is not for it: it ends when its standard input does, and so with this process
    detached: true,
  });
  const { stdin, stdout, stderr } = child;
  try {
    let said = "";
    let complaint = "";
    stderr.on("data", (data: Buffer) => (complaint += data.toString()));
    await new Promise<void>((resolve, reject) => {
      stdout.on("data", (data: Buffer) => {
        said += data.toString();
        if (said.endsWith("\n")) resolve();
      });
      child.on("error", reject);
      child.on("close", (status, signal) => reject(new Error(complaint.trim() || (signal ?? `status ${status}`))));
    });
    const [holder, outer] = [child.pid as number, Number(said)];
    const opened = openNamespaces(holder, outer);
    return { id, holder, outer, ...(opened !== undefined && { opened }) };
  } finally {
    stdout.destroy();
    stderr.destroy();
    child.unref();
    // of a pipe, which is a socket
    (stdin as unknown as { unref(): void }).unref();
  }
}

/** They belong to another user: root needs CAP_SYS_PTRACE for that, which a container may lack. */
function openNamespaces(holder: number, outer: number): readonly [number, number] | undefined {
  try {
    return [openSync(`/proc/${holder}/fd/${outer}`, "r"), openSync(`/proc/${holder}/ns/user`, "r")];
  } catch {
    return undefined;
  }
}

/** A range of ids that exist in this user namespace. */
export interface Range {
  readonly first: number;
  readonly count: number;
}

function mappedIds(file: string): Range[] {
  return readFileSync(file, "latin1")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const [first, , count] = line.trim().split(/ +/).map(Number) as [number, number, number];
      return { first, count };
    });
}

const isMapped = (ranges: readonly Range[], id: number): boolean =>
  ranges.some(({ first, count }) => id >= first && id < first + count);

/** In no range that systemd's list of ids gives to anybody ("Users, Groups, UIDs and GIDs on systemd Systems"). */
const PREFERRED = [2_000_000_000, ...Array.from({ length: 14 }, (_, index) => 65_533 - index)];

/** Whether sandboxes of root may have this id. */
export const isSandboxId = (id: number): boolean => PREFERRED.includes(id);

function chooseId(uids: readonly Range[], gids: readonly Range[]): number | undefined {
  const taken = new Set([...accountIds("/etc/passwd"), ...accountIds("/etc/group")]);
  return PREFERRED.find((id) => isMapped(uids, id) && isMapped(gids, id) && !taken.has(id));
}

function accountIds(file: string): number[] {
  try {
    return readFileSync(file, "latin1")
      .split("\n")
      .map((line) => Number(line.split(":")[2]));
  } catch {
    return []; // a container may have no accounts
  }
}

/**
 * Lines of a map for a namespace with the same ids, but 1000 and the other one changed with each other.
 * @returns lines "<inside> <outside> <count>"
 */
export function swapMap(ranges: readonly Range[], id: number): string {
  const lines: (readonly [number, number, number])[] = [];
  for (const { first, count } of ranges) {
    let from = first;
    for (const swapped of [INNER_ID, id].sort((a, b) => a - b)) {
      if (swapped < from || swapped >= first + count) continue;
      if (swapped > from) lines.push([from, from, swapped - from]);
      from = swapped + 1;
    }
    if (from < first + count) lines.push([from, from, first + count - from]);
  }
  lines.push([INNER_ID, id, 1]);
  if (isMapped(ranges, INNER_ID)) lines.push([id, INNER_ID, 1]);
  return lines.map((line) => `${line.join(" ")}\n`).join("");
}

/** Whether this process is user 0 for the kernel, not only in a namespace: it alone may open what belongs to that. */
function isKernelRoot(): boolean {
  try {
    closeSync(openSync("/proc/sys/kernel/panic", constants.O_WRONLY));
    return true;
  } catch (error) {
    // a read-only mount is looked at after the owner
    return !["EACCES", "EPERM"].includes(errno(error) ?? "");
  }
}

/** Gives files or empty folders to whoever commands in a sandbox are. */
export function handOver({ other }: SandboxUser, files: readonly string[]): void {
  if (other !== undefined) for (const file of files) chownSync(file, other.id, other.id);
}

/** Lets commands in a sandbox read files that the forge made under a umask of its user's. */
export function letRead({ other }: SandboxUser, files: readonly string[]): void {
  if (other === undefined) return;
  for (const file of files) {
    const { mode } = statSync(file);
    if ((mode & 0o004) === 0) chmodSync(file, mode | 0o444);
  }
}

/** Gives a folder and all that is in it, unless it is theirs already. */
export function handOverTree({ other }: SandboxUser, folder: string): void {
  if (other === undefined || lstatSync(folder).uid === other.id) return;
  for (const { full } of walk(folder)) lchownSync(full, other.id, other.id);
  lchownSync(folder, other.id, other.id);
}
