/** Programs of a seed, started through the seed's own dynamic loader: the host needs no matching libc. */
import path from "node:path";

export interface Command {
  readonly command: string;
  readonly args: string[];
  readonly env: Record<string, string>;
}

const LIBRARIES = "usr/lib/x86_64-linux-gnu";
const LOADER = `${LIBRARIES}/ld-linux-x86-64.so.2`;

/** A program of a seed tree as a command that runs on any x86-64 Linux, without that tree's being the root. */
export function seedProgram(tree: string, program: string, args: readonly string[]): Command {
  const within = (name: string): string => path.join(tree, name);
  return { command: within(LOADER), args: ["--library-path", within(LIBRARIES), within(program), ...args], env: {} };
}

/** The same for a process whose working folder is the tree: its user need not be able to reach the tree by its path. */
export function relativeProgram(program: string, args: readonly string[]): { command: string; args: string[] } {
  return { command: LOADER, args: ["--library-path", LIBRARIES, program, ...args] };
}
