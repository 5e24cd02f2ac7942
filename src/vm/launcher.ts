/** How a program of the seed becomes a process. The room knows no seed and no sandbox: it is handed this function. */
import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";

export interface Bind {
  /** Absolute path of a file, folder or device node, visible at the same path inside. */
  readonly path: string;
  readonly writable: boolean;
}

/**
 * Turns a program of the seed into a command that can be spawned. It runs in a bubblewrap with `binds` visible at their
 * own paths, device nodes usable as devices, and dies with the process that spawned it (`--die-with-parent`). Its root
 * also holds `env` and `cat` of coreutils. `fds` are descriptors that it inherits.
 */
export interface Launcher {
  (
    program: string,
    args: readonly string[],
    binds: readonly Bind[],
    fds?: readonly number[],
  ): { command: string; args: string[]; env: Record<string, string> };
}

/** Spawns a program of the seed in a session of its own, so that a Ctrl-C in our terminal does not reach it. */
export function launch(
  launcher: Launcher,
  program: string,
  args: readonly string[],
  binds: readonly Bind[],
  options: { readonly stdio: StdioOptions },
): ChildProcess {
  const { command, args: all, env } = launcher(program, args, binds);
  return spawn(command, all, { stdio: options.stdio, env, detached: true });
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
