/**
 * Commands in a bubblewrap of the seed: own user, process, mount, IPC, UTS and network namespaces, an empty environment,
 * only those paths that are named, and only those descriptors. Nothing of the host is needed: bubblewrap is started through
 * the seed's own dynamic loader, and works for an unprivileged user where the kernel allows user namespaces.
 */
import { spawn, spawnSync, type ChildProcess, type SpawnSyncReturns, type StdioOptions } from "node:child_process";
import { closeSync, existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { inheritedDescriptors, openFilter } from "./descriptors.ts";
import { deviceNodes, type Device } from "./devices.ts";
import { ulimits, type Limits } from "./limits.ts";
import { relativeProgram } from "./program.ts";
import { INNER_ID, sandboxUser, type SandboxUser } from "./user.ts";

export { seedProgram, type Command } from "./program.ts";
export type { SandboxUser } from "./user.ts";

export interface Bind {
  readonly from: string;
  readonly at: string;
  readonly writable?: boolean;
}

export interface SandboxSpec {
  /** Tree of the seed that holds bubblewrap and its loader. */
  readonly bubblewrap: string;
  /** Who its commands are; `openSandbox` says. */
  readonly user: SandboxUser;
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
  readonly limits?: Limits;
  /** The command sets `limits` itself, before anything else: one program less is started. */
  readonly setsLimits?: boolean;
}

type Standard = "ignore" | "pipe" | "inherit" | number;

export interface SandboxIo {
  /** Descriptors 0, 1 and 2. */
  readonly stdio: readonly [Standard, Standard, Standard];
  /** Of this process; the command has them from 3 on, in this order, and no others. */
  readonly descriptors?: readonly number[];
}

/** Starts a command in a sandbox. Killing the child kills all that is in it. */
export function spawnSandbox(
  spec: SandboxSpec,
  argv: readonly string[],
  io: SandboxIo,
  options: { readonly timeout?: number; readonly detached?: boolean } = {},
): ChildProcess {
  const { launch, stdio, close, remove } = prepare(spec, argv, io);
  try {
    const child = spawn(launch.command, launch.args, { ...launch.options, ...options, stdio, killSignal: "SIGKILL" });
    child.on("close", remove).on("error", remove);
    return child;
  } catch (error) {
    remove();
    throw error;
  } finally {
    close();
  }
}

/** Bytes of output that are kept. */
const OUTPUT = 1 << 28;

/** Runs a command in a sandbox to its end. */
export function spawnSandboxSync(
  spec: SandboxSpec,
  argv: readonly string[],
  io: SandboxIo = { stdio: ["ignore", "pipe", "pipe"] },
): SpawnSyncReturns<string> {
  const { launch, stdio, close, remove } = prepare(spec, argv, io);
  try {
    return spawnSync(launch.command, launch.args, { ...launch.options, stdio, encoding: "utf8", maxBuffer: OUTPUT });
  } finally {
    close();
    remove();
  }
}

interface Prepared {
  readonly launch: {
    readonly command: string;
    readonly args: readonly string[];
    readonly options: { readonly env: Record<string, string>; readonly cwd: string; uid?: number; gid?: number };
  };
  readonly stdio: StdioOptions & unknown[];
  /** Closes in this process what was opened for the child. */
  readonly close: () => void;
  /** Removes what the sandbox needed until its end. */
  readonly remove: () => void;
}

/** The first descriptor after those of every process. */
const FIRST = 3;

function prepare(spec: SandboxSpec, argv: readonly string[], { stdio, descriptors = [] }: SandboxIo): Prepared {
  const { bubblewrap, user, devices = [], limits = {} } = spec;
  const { nodes, remove } = deviceNodes(devices, user, bubblewrap);
  const filter = openFilter();
  const number = { filter: FIRST + descriptors.length, outer: 0, inner: 0 };
  number.outer = number.filter + 1;
  number.inner = number.filter + 2;
  const all = [...identity(spec, number), "--seccomp", String(number.filter), ...sandboxArguments(spec, nodes, argv)];
  const wrap = relativeProgram("usr/bin/bwrap", all);
  const id = user.other === undefined ? {} : { uid: user.other.id, gid: user.other.id };
  const namespaces = user.other === undefined ? [] : user.other.opened;
  if (spec.setsLimits === true && namespaces !== undefined && !inheritedDescriptors().some((fd) => fd > number.filter))
    return {
      launch: { ...wrap, options: { env: {}, cwd: bubblewrap, ...id } },
      stdio: [...stdio, ...descriptors, filter, ...namespaces],
      close: () => closeSync(filter),
      remove,
    };
  const shell = launcher(user, limits, number);
  const { command, args } = relativeProgram(shell.program, [
    ...[...shell.args, "sandbox"],
    // an absolute name that leads to the working folder: bash would make one that its user perhaps cannot follow
    ...[`/proc/self/cwd/${wrap.command}`, ...wrap.args],
  ]);
  return {
    launch: { command, args, options: { env: {}, cwd: bubblewrap, ...id } },
    stdio: [...stdio, ...descriptors, filter],
    close: () => closeSync(filter),
    remove,
  };
}

/** Numbers of descriptors of the process that becomes bubblewrap. */
interface Numbers {
  readonly filter: number;
  /** Of the namespaces of root's sandboxes. */
  readonly outer: number;
  readonly inner: number;
}

/** The largest number of a descriptor that dash can redirect. */
const DASH_DIGIT = 9;

/**
 * The shell that becomes bubblewrap: it sets the limits, opens the namespaces and closes all descriptors that are not named.
 * dash starts in half the time, but has one digit for a descriptor.
 */
function launcher(
  { other }: SandboxUser,
  limits: Limits,
  number: Numbers,
): { readonly program: string; readonly args: readonly string[] } {
  const last = other === undefined ? number.filter : number.inner;
  const foreign = inheritedDescriptors().filter((fd) => fd > number.filter);
  const bash = foreign.length > 0 || last > DASH_DIGIT;
  const script = [
    ...foreign.map((fd) => `exec ${fd}>&-`),
    "ulimit -c 0",
    ...ulimits(limits).map(({ limit, option, value }) => {
      if (bash) return `ulimit -${option} ${value}`;
      // it counts blocks of 512 bytes, and has another letter
      return limit === "file" ? `ulimit -f ${2 * value}` : `ulimit -${limit === "processes" ? "p" : option} ${value}`;
    }),
    ...(other === undefined
      ? []
      : [
          `exec ${number.outer}< /proc/${other.holder}/fd/${other.outer}`,
          `exec ${number.inner}< /proc/${other.holder}/ns/user`,
        ]),
    'exec "$@"',
  ].join("\n");
  return bash
    ? { program: "usr/bin/bash", args: ["--norc", "-c", script] }
    : { program: "usr/bin/dash", args: ["-c", script] };
}

function identity({ user }: SandboxSpec, number: Numbers): string[] {
  const inside = ["--uid", String(INNER_ID), "--gid", String(INNER_ID)];
  if (user.other === undefined) return ["--unshare-user", ...inside];
  const { outer, inner } = number;
  return [
    ...["--userns", String(outer), "--userns2", String(inner), ...inside],
    // bubblewrap leaves these two open, but not one that it was to wait for, nor one that only its first process keeps
    ...["--block-fd", String(outer), "--sync-fd", String(inner)],
  ];
}

/** What is in /proc beside processes, as far as it has files to write, or tells of the host's processes. */
const PROC_READ_ONLY = ["sys", "sysrq-trigger", "irq", "bus", "fs", "pressure", "acpi", "scsi"];
const PROC_HIDDEN = ["sched_debug", "latency_stats"];

let procArguments: readonly string[] | undefined;

/** Bubblewrap covers some of it only where it looks writable, and for root's id /proc/sys does not look so. */
function coverProc(): readonly string[] {
  const present = (names: readonly string[]): string[] =>
    names.map((name) => `/proc/${name}`).filter((name) => existsSync(name));
  return (procArguments ??= [
    ...present(PROC_READ_ONLY).flatMap((name) => ["--ro-bind", name, name]),
    ...present(PROC_HIDDEN).flatMap((name) => ["--ro-bind", "/dev/null", name]),
  ]);
}

function sandboxArguments(spec: SandboxSpec, devices: readonly Device[], argv: readonly string[]): string[] {
  return [
    ...["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"],
    ...(spec.network === true ? [] : ["--unshare-net"]),
    ...["--hostname", "anvil", "--die-with-parent", "--clearenv"],
    ...(spec.terminal === true ? [] : ["--new-session"]),
    ...Object.entries(spec.env).flatMap(([name, value]) => ["--setenv", name, value]),
    ...rootBinds(spec.root),
    ...["--proc", "/proc", ...coverProc(), "--dev", "/dev"],
    ...devices.flatMap(({ from, at }) => ["--dev-bind-try", from, at]),
    ...spec.binds.flatMap(({ from, at, writable }) => [writable === true ? "--bind" : "--ro-bind", from, at]),
    // what is written outside of the folders that are there for it would vanish: better that it fails
    ...["--remount-ro", "/", "--chdir", spec.cwd, "--", ...argv],
  ];
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

/**
 * Who the commands of this process's sandboxes are, once one has been tried. Throws E_NO_USER_NAMESPACES, with what to do,
 * when this kernel or its policy refuses a sandbox, and E_ROOT_SANDBOX when root's would have root's id.
 */
export async function openSandbox(seedTree: string): Promise<SandboxUser> {
  let user: SandboxUser;
  try {
    user = await sandboxUser(seedTree);
  } catch (error) {
    // where there are no user namespaces at all, that is what to say
    trySandbox(seedTree, {});
    throw error;
  }
  trySandbox(seedTree, user);
  return user;
}

function trySandbox(seedTree: string, user: SandboxUser): void {
  const spec: SandboxSpec = { bubblewrap: seedTree, user, root: seedTree, binds: [], env: {}, cwd: "/" };
  const result = spawnSandboxSync(spec, ["/usr/bin/true"]);
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
  return "in a container, start it so that user namespaces are allowed, best as a user other than root (for Docker: --user 1000 --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined)";
}
