/** Ways to run a driver with something taken from it: in a bubblewrap of the seed that shows all of the host. */
import { readdirSync } from "node:fs";
import path from "node:path";
import { seedProgram } from "../../src/sandbox/sandbox.ts";

export type Wrap = (
  command: string,
  args: readonly string[],
) => { readonly command: string; readonly args: readonly string[] };

/** Root in a user namespace of its own, on the host's files and processes; `options` are bubblewrap's. */
function asNamespaceRoot(seedTree: string, options: readonly string[], argv: readonly string[]) {
  const user = ["--unshare-user", "--uid", "0", "--gid", "0", "--cap-add", "ALL", "--die-with-parent"];
  return seedProgram(seedTree, "usr/bin/bwrap", [...user, "--dev-bind", "/", "/", ...options, "--", ...argv]);
}

/** No further user namespace can be made. */
export function withoutUserNamespaces(seedTree: string): Wrap {
  return (command, args) => {
    const script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"';
    const shell = seedProgram(seedTree, "usr/bin/bash", ["-c", script, "bash", command, ...args]);
    return asNamespaceRoot(seedTree, [], [shell.command, ...shell.args]);
  };
}

/** The cache folder on a file system of its own of this many bytes, with the seed of the real one. */
export function withSmallDisk(seedTree: string, cache: string, bytes: number): Wrap {
  const store = path.join(cache, "store");
  const seed = readdirSync(store).flatMap((name) => ["--ro-bind", path.join(store, name), path.join(store, name)]);
  return (command, args) =>
    asNamespaceRoot(seedTree, ["--size", String(bytes), "--tmpfs", cache, ...seed], [command, ...args]);
}

/** As in another container that shares the file system: own processes, own network. */
export function inContainer(seedTree: string): Wrap {
  return (command, args) =>
    asNamespaceRoot(seedTree, ["--unshare-pid", "--unshare-net", "--proc", "/proc"], [command, ...args]);
}

/** A folder on a file system of its own from which no program can be started; what the seed is of is shown in it. */
export function withoutExecution(seedTree: string, folder: string): Wrap {
  return (command, args) => {
    const script = `/usr/bin/mount -o remount,bind,noexec ${folder} && exec "$@"`;
    return asNamespaceRoot(seedTree, ["--bind", folder, folder], ["/bin/sh", "-c", script, "sh", command, ...args]);
  };
}

/** The cache folder cannot be written. */
export function withReadOnlyCache(seedTree: string, cache: string): Wrap {
  return (command, args) => asNamespaceRoot(seedTree, ["--ro-bind", cache, cache], [command, ...args]);
}

/** A machine whose APT is not configured, as on another distribution, and whose store of certificates is this folder. */
export function withoutApt(seedTree: string, certificates: string): Wrap {
  const options = ["--tmpfs", "/etc/apt", "--tmpfs", "/etc/ssl", "--ro-bind", certificates, "/etc/ssl/certs"];
  return (command, args) => asNamespaceRoot(seedTree, options, [command, ...args]);
}
