/** Ways to run a driver with something taken from it: in a bubblewrap of the seed that shows all of the host. */
import { readdirSync } from "node:fs";
import path from "node:path";
import { seedProgram } from "../../src/sandbox/sandbox.ts";

export type Wrap = (
  command: string,
  args: readonly string[],
) => { readonly command: string; readonly args: readonly string[] };

/** On the host's files and processes; `options` are bubblewrap's. */
function onHost(seedTree: string, options: readonly string[], argv: readonly string[]) {
  const all = ["--die-with-parent", "--dev-bind", "/", "/", ...options, "--", ...argv];
  return seedProgram(seedTree, "usr/bin/bwrap", all);
}

/** Root, in a user namespace of its own in which there is no other user. */
const namespaceRoot = ["--unshare-user", "--uid", "0", "--gid", "0", "--cap-add", "ALL"];

/** Who may mount: root as it is, anybody else as root of a namespace. */
const mounter = (): readonly string[] => (process.getuid?.() === 0 ? [] : namespaceRoot);

/** Root that has no other id to give to its sandboxes. */
export function asLonelyRoot(seedTree: string): Wrap {
  return (command, args) => onHost(seedTree, namespaceRoot, [command, ...args]);
}

/** Root with these capabilities and no others; for anybody else nothing is different. */
export function withCapabilities(seedTree: string, names: readonly string[]): Wrap {
  if (process.getuid?.() !== 0) return (command, args) => ({ command, args });
  const options = ["--cap-drop", "ALL", ...names.flatMap((name) => ["--cap-add", `CAP_${name}`])];
  return (command, args) => onHost(seedTree, options, [command, ...args]);
}

/** The file is open for reading under this number, as a parent may have left it. */
export function withDescriptor(seedTree: string, fd: number, file: string): Wrap {
  return (command, args) =>
    seedProgram(seedTree, "usr/bin/bash", ["--norc", "-c", `exec ${fd}< "$0"; exec "$@"`, file, command, ...args]);
}

/** No further user namespace can be made. */
export function withoutUserNamespaces(seedTree: string): Wrap {
  return (command, args) => {
    const script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"';
    const shell = seedProgram(seedTree, "usr/bin/bash", ["-c", script, "bash", command, ...args]);
    return onHost(seedTree, namespaceRoot, [shell.command, ...shell.args]);
  };
}

/** The cache folder on a file system of its own of this many bytes, with the seed of the real one. */
export function withSmallDisk(seedTree: string, cache: string, bytes: number): Wrap {
  const store = path.join(cache, "store");
  const seed = readdirSync(store).flatMap((name) => ["--ro-bind", path.join(store, name), path.join(store, name)]);
  return (command, args) =>
    onHost(seedTree, [...mounter(), "--size", String(bytes), "--tmpfs", cache, ...seed], [command, ...args]);
}

/** The cache folder cannot be written. */
export function withReadOnlyCache(seedTree: string, cache: string): Wrap {
  return (command, args) => onHost(seedTree, [...mounter(), "--ro-bind", cache, cache], [command, ...args]);
}
