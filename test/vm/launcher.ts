/** The launcher of the tests: programs of this host, in a bubblewrap that hides what is not bound. */
import { existsSync } from "node:fs";
import path from "node:path";
import type { Launcher } from "../../src/vm/launcher.ts";

const FOLDERS = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];

function resolveProgram(program: string): string {
  const found = FOLDERS.map((folder) => path.join(folder, program)).find((file) => existsSync(file));
  if (found === undefined) throw new Error(`this host has no ${program}`);
  return found;
}

export const launcher: Launcher = (program, args, binds) => ({
  command: resolveProgram("bwrap"),
  args: [
    ...["--die-with-parent", "--unshare-user", "--unshare-pid"],
    ...["--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc", "--proc", "/proc", "--dev", "/dev"],
    ...["bin", "sbin", "lib", "lib64"].flatMap((name) => ["--symlink", `usr/${name}`, `/${name}`]),
    ...binds.flatMap((bind) => [bindOption(bind.path, bind.writable), bind.path, bind.path]),
    ...["--", resolveProgram(program), ...args],
  ],
  env: {},
});

function bindOption(file: string, writable: boolean): string {
  if (file.startsWith("/dev/")) return "--dev-bind";
  return writable ? "--bind" : "--ro-bind";
}
