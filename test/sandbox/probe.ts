/** What a program in a sandbox finds that it may not: shell and Perl text for the tests, harmless where it succeeds. */
import { readdirSync, readFileSync } from "node:fs";

/**
 * Prints each file of /proc, other than those of processes, that opens for writing. Nothing is written; what is open to
 * everybody on every machine is passed over.
 */
export const writableProc = `\
for file in $(find /proc -path '/proc/[0-9]*' -prune -o -type f -print 2> /dev/null); do
  { :; } 2> /dev/null >> "$file" && echo "$file opens"
done
echo "$(find /proc/sys -type f 2> /dev/null | wc -l) files looked at"`;

/** Expected of \`writableProc\`. */
export const noneWritable = /^[1-9]\d{2,} files looked at$/;

/** Prints names and numbers of the errors with which system calls fail that nothing in a sandbox may make. */
export const forbiddenCalls = String.raw`
open(my $null, "+<", "/dev/null") or die;
sub try { my ($name, @call) = @_; my $result = syscall(shift(@call), @call); print "$name ", ($result == -1 ? $! + 0 : "made"), "\n" }
# each has arguments with which it would fail otherwise: no terminal, no pointer, no such thing
try("TIOCSTI", 16, fileno($null), 0x5412, 0);
try("TIOCSTI-with-high-bits", 16, fileno($null), 0x100005412, 0);
try("TIOCLINUX", 16, fileno($null), 0x541c, 0);
try("KDSKBENT", 16, fileno($null), 0x4b47, 0);
try("VT_ACTIVATE", 16, fileno($null), 0x5606, 0);
try("add_key", 248, 0, 0, 0, 0, 0);
try("request_key", 249, 0, 0, 0, 0);
try("keyctl", 250, 99, 0, 0, 0, 0);
try("bpf", 321, 99, 0, 0);
try("userfaultfd", 323, -1);
try("perf_event_open", 298, 0, 0, 0, 0, 0);
try("io_uring_setup", 425, 0, 0);
try("io_uring_enter", 426, -1, 0, 0, 0, 0, 0);
try("io_uring_register", 427, -1, 0, 0, 0);
try("setns", 308, -1, 0);
try("unshare", 272, 0x10000000);
try("clone", 56, 0x10000000 | 0x80000000, 0, 0, 0, 0);
try("mount", 165, 0, 0, 0, 0, 0);
try("fsopen", 430, 0, 0);
try("open_tree", 428, -1, 0, 0);
try("pivot_root", 155, 0, 0);
try("finit_module", 313, -1, 0, 0);
try("kexec_load", 246, 0, -1, 0, 0);
try("syslog", 103, 99, 0, 0);
try("clone3", 435, 0, 0);
try("x32-getpid", 0x40000000 | 39);
try("AF_VSOCK", 41, 40, 1, 0);
try("AF_ALG", 41, 38, 5, 0);
try("AF_UNIX", 41, 1, 1, 0);
`;

/** What that prints. */
export function expectedOfCalls(): string[] {
  const names = [...forbiddenCalls.matchAll(/^try\("([^"]+)"/gm)].map(([, name]) => name as string);
  const others: Readonly<Record<string, string>> = {
    clone3: "38",
    "x32-getpid": "38",
    AF_VSOCK: "97",
    AF_ALG: "97",
    AF_UNIX: "made",
  };
  return names.map((name) => `${name} ${others[name] ?? "1"}`);
}

/** Every user id that the kernel knows these processes by: real, effective, saved and of the file system. */
export function kernelIds(pids: readonly number[]): number[] {
  const ids = pids.flatMap((pid) => /^Uid:\s+(.+)$/m.exec(ofProcess(pid, "status"))?.[1] ?? []);
  return [...new Set(ids.flatMap((line) => line.split(/\s+/).map(Number)))];
}

/** Processes below this one whose command line holds the text, with all that are below those. */
export function processesBelow(pid: number, holds: string): number[] {
  const children = childrenOf();
  const below = (parent: number): number[] => (children.get(parent) ?? []).flatMap((child) => [child, ...below(child)]);
  return [
    ...new Set(
      below(pid).flatMap((child) => (ofProcess(child, "cmdline").includes(holds) ? [child, ...below(child)] : [])),
    ),
  ];
}

function ofProcess(pid: number, file: "status" | "cmdline"): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8").replaceAll("\0", " ");
  } catch {
    return ""; // it has ended
  }
}

function childrenOf(): Map<number, number[]> {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    const parent = Number(/^PPid:\s+(\d+)$/m.exec(ofProcess(Number(name), "status"))?.[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  return children;
}
