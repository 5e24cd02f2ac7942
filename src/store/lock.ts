/**
 * Locks between processes, that a kill -9 releases. Node offers no flock(2); a lock is a file created with O_EXCL that
 * names its owner by process id and start time (field 22 of /proc/<pid>/stat), so that a dead owner is recognised even
 * when its id was given to another process.
 */
import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
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

/** A name that no other process, now or after a reboot, uses. */
export function ownerName(): string {
  return `${process.pid}.${startTime(process.pid) ?? "0"}.${bootId()}`;
}

export function isAlive(owner: string): boolean {
  const [pid, started, boot] = owner.split(".");
  return boot === bootId() && started !== undefined && startTime(Number(pid)) === started;
}

export interface Lock {
  release(): void;
}

/** Takes the lock, or says who holds it. Never waits. */
export function tryLock(folder: string, name: string): Lock | { readonly heldBy: string } {
  const file = path.join(folder, name);
  const owner = ownerName();
  const mine = `${file}.${owner}`;
  for (;;) {
    writeFileSync(mine, owner);
    try {
      // link(2) is atomic and never replaces: the lock appears complete with its owner's name, or not at all
      linkSync(mine, file);
      return { release: () => unlinkIfThere(file) };
    } catch (error) {
      if (errno(error) !== "EEXIST") throw error;
      const holder = readIfThere(file);
      if (holder === undefined) continue;
      if (holder !== owner && isAlive(holder)) return { heldBy: holder };
      stealStale(file, holder, owner);
    } finally {
      unlinkIfThere(mine);
    }
  }
}

/** Removes a dead owner's lock. Renaming it aside first makes sure that two thieves do not remove each other's lock. */
function stealStale(file: string, holder: string, owner: string): void {
  const aside = `${file}.stale.${owner}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if (errno(error) === "ENOENT") return;
    throw error;
  }
  const moved = readIfThere(aside);
  // somebody replaced the dead lock by a living one between our look and our rename: give it back
  if (moved !== undefined && moved !== holder && isAlive(moved)) {
    try {
      linkSync(aside, file);
    } catch {
      /* a third process took it meanwhile; the owner finds out when it stores: outputs are renamed, never merged */
    }
  }
  unlinkIfThere(aside);
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
