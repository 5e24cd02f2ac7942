/** How a program of the seed becomes a process. The room knows no seed and no sandbox: it is handed this. */
import type { ChildProcess } from "node:child_process";

export interface Bind {
  /** Absolute path of a file, folder or device node, visible at the same path inside. */
  readonly path: string;
  readonly writable: boolean;
}

type Standard = "ignore" | "pipe" | "inherit" | number;

export interface LaunchIo {
  /** Descriptors 0, 1 and 2. */
  readonly stdio: readonly [Standard, Standard, Standard];
  /** Of this process; the program has them from 3 on, and no others. */
  readonly descriptors?: readonly number[];
}

export interface Launcher {
  /**
   * Starts a program of the seed in a session of its own, so that a Ctrl-C in our terminal does not reach it. It runs in a
   * bubblewrap with `binds` visible at their own paths, device nodes usable as devices, and dies with this process. Its root
   * also holds `env` and `cat` of coreutils.
   */
  start(program: string, args: readonly string[], binds: readonly Bind[], io: LaunchIo): ChildProcess;
  /** Gives files of ours to the user that its programs are, who is another one when we are root. */
  handOver(files: readonly string[]): void;
}

/** Kills a launched program and whatever its launcher started with it. No effect once it has ended. */
export function killLaunched(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // it ended between the check and the kill
  }
}
