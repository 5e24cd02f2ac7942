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

/**
 * As in another container that shares the file system: own users, processes, mounts and network, and a /proc of its own
 * that hides nothing, so that sandboxes can be made within. By system calls of perl: bubblewrap's /proc hides parts.
 */
export function inContainer(seedTree: string): Wrap {
  // unshare(2), mount(2), prctl(2) with PR_SET_PDEATHSIG; process 1 of the namespace only waits, as it ignores signals
  const script = `
    my ($uid, $gid) = ($>, $) + 0);
    # a container of root's has more than one user, so it takes no namespace of users here
    syscall(272, $uid == 0 ? 0x60020000 : 0x70020000) == 0 or die "unshare: $!";
    for ($uid == 0 ? () : (["setgroups", "deny"], ["uid_map", "0 $uid 1"], ["gid_map", "0 $gid 1"])) {
      open(my $file, ">", "/proc/self/$_->[0]") or die "$!";
      print $file $_->[1];
      close $file or die "$_->[0]: $!";
    }
    my $first = fork;
    if ($first) { waitpid($first, 0); exit($? >> 8 || ($? ? 1 : 0)) }
    syscall(157, 1, 9, 0, 0, 0);
    my ($none, $root, $proc, $at) = ("none", "/", "proc", "/proc");
    syscall(165, $none, $root, $none, 0x44000, 0) == 0 or die "private: $!";
    syscall(165, $proc, $at, $proc, 0, 0) == 0 or die "proc: $!";
    my $status = system { $ARGV[0] } @ARGV;
    exit($status >> 8 || ($status ? 1 : 0));
  `;
  return (command, args) => seedProgram(seedTree, "usr/bin/perl", ["-e", script, command, ...args]);
}

/** The process itself, not its children, is told of these mounts: a file like mountinfo lies over its own. */
export function toldOfMounts(seedTree: string, mountinfo: string): Wrap {
  const script = `
    my ($uid, $gid) = ($>, $) + 0);
    # root can mount as it is, and needs its other ids
    syscall(272, $uid == 0 ? 0x20000 : 0x10020000) == 0 or die "unshare: $!";
    for ($uid == 0 ? () : (["setgroups", "deny"], ["uid_map", "$uid $uid 1"], ["gid_map", "$gid $gid 1"])) {
      open(my $file, ">", "/proc/self/$_->[0]") or die "$!";
      print $file $_->[1];
      close $file or die "$_->[0]: $!";
    }
    my ($none, $root, $from, $at) = ("none", "/", shift, "/proc/$$/mountinfo");
    syscall(165, $none, $root, $none, 0x44000, 0) == 0 or die "private: $!";
    syscall(165, $from, $at, $none, 0x1000, 0) == 0 or die "bind: $!";
    exec { $ARGV[0] } @ARGV;
  `;
  return (command, args) => seedProgram(seedTree, "usr/bin/perl", ["-e", script, mountinfo, command, ...args]);
}

/** No program in the folder can be started: mount(2) with MS_REMOUNT, MS_BIND and MS_NOEXEC. */
export function withoutExecution(seedTree: string, folder: string): Wrap {
  return (command, args) => {
    const script = `my ($none, $folder) = ("none", shift); syscall(165, $none, $folder, $none, 0x1028, 0) == 0 or die "$!"; exec @ARGV`;
    const perl = seedProgram(seedTree, "usr/bin/perl", ["-e", script, folder, command, ...args]);
    return onHost(seedTree, [...mounter(), "--bind", folder, folder], [perl.command, ...perl.args]);
  };
}

/** No network but its own loopback, on which nobody listens. */
export function withoutNetwork(seedTree: string): Wrap {
  const own = process.getuid?.() === 0 ? [] : ["--unshare-user"];
  return (command, args) => onHost(seedTree, [...own, "--unshare-net"], [command, ...args]);
}

/** The cache folder cannot be written. */
export function withReadOnlyCache(seedTree: string, cache: string): Wrap {
  return (command, args) => onHost(seedTree, [...mounter(), "--ro-bind", cache, cache], [command, ...args]);
}

/** A machine whose APT is not configured, as on another distribution, and whose store of certificates is this folder. */
export function withoutApt(seedTree: string, certificates: string): Wrap {
  const options = ["--tmpfs", "/etc/apt", "--tmpfs", "/etc/ssl", "--ro-bind", certificates, "/etc/ssl/certs"];
  return (command, args) => onHost(seedTree, [...mounter(), ...options], [command, ...args]);
}
