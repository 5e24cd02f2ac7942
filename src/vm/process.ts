/** Names for processes that stay true after the process has ended. See proc_pid_stat(5). */
import { readFileSync } from "node:fs";

export interface ProcessIdentity {
  readonly pid: number;
  /** Start time in clock ticks since the machine booted: field 22 of /proc/<pid>/stat. */
  readonly startTicks: number;
  /** /proc/sys/kernel/random/boot_id: pids and ticks begin anew with each boot. */
  readonly boot: string;
}

/** The identifier of this boot of this machine. */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

/** Identity of a running process; undefined when there is none with this pid, or only a zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  // the second field is the program's name in parentheses and may itself hold spaces and parentheses
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (fields[0] === "Z" || fields[0] === "X") return undefined;
  return { pid, startTicks: Number(fields[19]), boot: bootId() };
}

/** True while the very process runs that was identified. */
export function isRunning(identity: ProcessIdentity): boolean {
  const now = identify(identity.pid);
  return now !== undefined && now.startTicks === identity.startTicks && now.boot === identity.boot;
}
