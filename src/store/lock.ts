/**
 * Locks between processes, that a kill -9 releases. Node offers no flock(2); a lock is a file that names its owner by
 * process id, start time (field 22 of /proc/<pid>/stat) and boot, so that a dead owner is recognised even when its id
 * was given to another process.
 */
import { createHash } from "node:crypto";
import { linkSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { errno } from "../fault/fault.ts";

/** The start time of a process in clock ticks since boot, or undefined when there is no such process. */
export function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

const bootId = (): string => readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();

let self: string | undefined;

/** A name that no other process, now or after a reboot, uses. */
export function ownerName(): string {
  return (self ??= `${process.pid}.${startTime(process.pid) ?? "0"}.${bootId()}`);
}

export function isAlive(owner: string): boolean {
  if (owner === ownerName()) return true;
  const [pid, started, boot] = owner.split(".");
  return boot === bootId() && started !== undefined && startTime(Number(pid)) === started;
}

export interface Lock {
  release(): void;
}

/** Takes the lock, or says who holds it. Never waits. */
export function tryLock(folder: string, name: string): Lock | { readonly heldBy: string } {
  const file = path.join(folder, name);
  for (;;) {
    if (create(file)) return { release: () => unlinkIfThere(file) };
    const holder = readIfThere(file);
    if (holder === undefined) continue;
    if (isAlive(holder)) return { heldBy: holder };
    const heir = removeDead(folder, name, holder);
    if (heir !== undefined) return { heldBy: heir };
  }
}

/** The living process that holds the lock, or undefined. */
export function lockHolder(folder: string, name: string): string | undefined {
  const holder = readIfThere(path.join(folder, name));
  return holder !== undefined && isAlive(holder) ? holder : undefined;
}

/** link(2) is atomic and never replaces: the lock appears complete with its owner's name, or not at all. */
function create(file: string): boolean {
  const mine = `${file}.${ownerName()}`;
  try {
    writeFileSync(mine, ownerName());
    linkSync(mine, file);
    return true;
  } catch (error) {
    if (errno(error) === "EEXIST") return false;
    throw error;
  } finally {
    unlinkIfThere(mine);
  }
}

/**
 * Removes the lock of a dead owner, or says which living process is about to. Whoever does it holds a lock that is
 * named after that very owner, and looks again before it deletes: nobody else can remove the dead owner's file, so it
 * is never a living one's that goes.
 */
function removeDead(folder: string, name: string, holder: string): string | undefined {
  const file = path.join(folder, name);
  const right = tryLock(folder, `dead-${createHash("sha256").update(`${name} ${holder}`).digest("hex")}`);
  if ("heldBy" in right) return right.heldBy;
  if (readIfThere(file) === holder) unlinkIfThere(file);
  right.release();
  return undefined;
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "latin1");
  } catch (error) {
    if (errno(error) === "ENOENT") return undefined;
    throw error;
  }
}

function unlinkIfThere(file: string): void {
  try {
    unlinkSync(file);
  } catch (error) {
    if (errno(error) !== "ENOENT") throw error;
  }
}
