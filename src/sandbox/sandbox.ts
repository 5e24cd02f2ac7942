/**
 * Commands in a bubblewrap of the seed: own user, process, mount, IPC, UTS and network namespaces, an empty environment,
 * and only those paths that are named. Nothing of the host is needed: bubblewrap is started through the seed's own
 * dynamic loader, and works for an unprivileged user where the kernel allows user namespaces.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { Fault } from "../fault/fault.ts";

export interface Bind {
  readonly from: string;
  readonly at: string;
  readonly writable?: boolean;
}

export interface SandboxSpec {
  /** Tree of the seed that holds bubblewrap and its loader. */
  readonly bubblewrap: string;
  /** Tree that becomes the root: its `usr`, `etc`, … are mounted read-only. */
  readonly root: string;
  readonly binds: readonly Bind[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Share the host's network; false for every build. */
  readonly network?: boolean;
  /** Device nodes of the host that are visible, such as /dev/kvm. */
  readonly devices?: readonly string[];
  /** Keep the controlling terminal: for an interactive shell. */
  readonly terminal?: boolean;
}

export interface Command {
  readonly command: string;
  readonly args: string[];
  readonly env: Record<string, string>;
}

/** A program of a seed tree as a command that runs on any x86-64 Linux, without that tree's being the root. */
export function seedProgram(tree: string, program: string, args: readonly string[]): Command {
  const lib = path.join(tree, "usr/lib/x86_64-linux-gnu");
  const loader = path.join(lib, "ld-linux-x86-64.so.2");
  return { command: loader, args: ["--library-path", lib, path.join(tree, program), ...args], env: {} };
}

/** The command that runs `argv` in the sandbox. Extra file descriptors of the spawn reach it. */
export function sandboxCommand(spec: SandboxSpec, argv: readonly string[]): Command {
  const args = [
    ...["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"],
    ...(spec.network === true ? [] : ["--unshare-net"]),
    ...["--uid", "1000", "--gid", "1000", "--hostname", "anvil", "--die-with-parent", "--clearenv"],
    ...(spec.terminal === true ? [] : ["--new-session"]),
    ...Object.entries(spec.env).flatMap(([name, value]) => ["--setenv", name, value]),
    ...rootBinds(spec.root),
    ...["--proc", "/proc", "--dev", "/dev"],
    ...(spec.devices ?? []).flatMap((device) => ["--dev-bind-try", device, device]),
    ...spec.binds.flatMap(({ from, at, writable }) => [writable === true ? "--bind" : "--ro-bind", from, at]),
    // what is written outside of the folders that are there for it would vanish: better that it fails
    ...["--remount-ro", "/", "--chdir", spec.cwd, "--", ...argv],
  ];
  return seedProgram(spec.bubblewrap, "usr/bin/bwrap", args);
}

/** Folders of a tree that programs read; a bind below another one, such as /root, must find no read-only folder there. */
const FOLDERS = ["etc", "usr", "var"];

/** The top of a merged-/usr tree: folders are bound, symbolic links (bin → usr/bin) are made again. */
function rootBinds(root: string): string[] {
  return readdirSync(root, { withFileTypes: true }).flatMap((entry) => {
    if (entry.isSymbolicLink()) return ["--symlink", `usr/${entry.name}`, `/${entry.name}`];
    return FOLDERS.includes(entry.name) ? ["--ro-bind", path.join(root, entry.name), `/${entry.name}`] : [];
  });
}

/** Throws E_NO_USER_NAMESPACES, with what to do, when this kernel or its policy refuses a sandbox. */
export function checkSandbox(seedTree: string): void {
  const spec: SandboxSpec = { bubblewrap: seedTree, root: seedTree, binds: [], env: {}, cwd: "/" };
  const { command, args, env } = sandboxCommand(spec, ["/usr/bin/true"]);
  const result = spawnSync(command, args, { env, encoding: "utf8" });
  if (result.status === 0) return;
  throw new Fault("E_NO_USER_NAMESPACES", "this machine does not let the forge make a sandbox", {
    details: [
      `bubblewrap: ${(result.stderr || String(result.error ?? `exit status ${result.status}`)).trim()}`,
      ...sandboxFacts(),
    ],
    hint: namespaceHint(),
  });
}

function setting(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, "utf8").trim() : undefined;
}

const switches = {
  apparmor: "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
  clone: "/proc/sys/kernel/unprivileged_userns_clone",
  limit: "/proc/sys/user/max_user_namespaces",
};

function sandboxFacts(): string[] {
  return Object.values(switches).flatMap((file) => {
    const value = setting(file);
    return value === undefined ? [] : [`${file.slice("/proc/sys/".length).replaceAll("/", ".")} = ${value}`];
  });
}

function namespaceHint(): string {
  if (setting(switches.limit) === "0") return "turn user namespaces on: sysctl -w user.max_user_namespaces=15000";
  if (setting(switches.clone) === "0")
    return "turn them on for all users: sysctl -w kernel.unprivileged_userns_clone=1";
  if (setting(switches.apparmor) === "1")
    return "let AppArmor allow them: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0";
  return "in a container, start it so that user namespaces are allowed (for Docker: --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined)";
}
