/** Names for processes that stay true after the process has ended, and across process namespaces. See proc_pid_stat(5). */
import { readFileSync, readlinkSync } from "node:fs";

export interface ProcessIdentity {
  readonly pid: number;
  /** Start time in clock ticks since the machine booted: field 22 of /proc/<pid>/stat. */
  readonly startTicks: number;
  /** /proc/sys/kernel/random/boot_id: pids and ticks begin anew with each boot. Containers share the machine's. */
  readonly boot: string;
  /** The process namespace that the pid is of, see `pidSpace`. Absent in files of earlier versions. */
  readonly space?: string;
}

/** The identifier of this boot of this machine. */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}

/** What `pidSpace` says where pids cannot be compared. */
export const OWN_SPACE = "0";

let space: string | undefined;

/**
 * The process namespace that pids in /proc are of, by its inode number; OWN_SPACE when /proc shows another one than that
 * of this process, whose pids then say nothing to others. A number may be given again once nothing is left of the
 * namespace that had it: no process of that one lives then.
 */
export function pidSpace(): string {
  if (space === undefined) {
    const shown = readlinkSync("/proc/self") === String(process.pid);
    space = (shown ? /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0] : undefined) ?? OWN_SPACE;
  }
  return space;
}

/** Identity of a running process; undefined when there is none with this pid, or only a zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  const startTicks = ticks(String(pid));
  return startTicks === undefined ? undefined : { pid, startTicks, boot: bootId(), space: pidSpace() };
}

/** As `identify`, of this process, wherever /proc is from. */
export function identifySelf(): ProcessIdentity {
  const pid = Number(readlinkSync("/proc/self"));
  return { pid, startTicks: ticks("self") ?? 0, boot: bootId(), space: pidSpace() };
}

function ticks(process: string): number | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${process}/stat`, "latin1");
  } catch {
    return undefined;
  }
  // the second field is the program's name in parentheses and may itself hold spaces and parentheses
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" || fields[0] === "X" ? undefined : Number(fields[19]);
}

/** Whether its pid means here what it means there. */
export function isComparable({ boot, space: theirs }: ProcessIdentity): boolean {
  return boot === bootId() && (theirs === undefined || (theirs === pidSpace() && theirs !== OWN_SPACE));
}

/** True while the very process runs that was identified. Says false for what is not comparable: ask `isComparable`. */
export function isRunning(identity: ProcessIdentity): boolean {
  return isComparable(identity) && ticks(String(identity.pid)) === identity.startTicks;
}
