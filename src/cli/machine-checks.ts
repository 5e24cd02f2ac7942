/** What `anvil doctor` looks at, one finding after the other. */
import { existsSync, readFileSync, statfsSync } from "node:fs";
import os from "node:os";
import { seedBase, seedCc, seedVm } from "../../recipes/seed.ts";
import { Fault } from "../fault/fault.ts";
import { evaluate, type Evaluation } from "../forge/evaluate.ts";
import type { Seed } from "../recipe/recipe.ts";
import { openSandbox } from "../sandbox/sandbox.ts";
import { seedSuite } from "../source/debian-sources.ts";
import { httpRequest } from "../source/http.ts";
import type { Store } from "../store/store.ts";
import { probeAcceleration } from "../vm/accel.ts";
import { seedLauncher } from "../vm/seed-launcher.ts";
import { openStore, projectRoot, readPins, selectChannel } from "./command.ts";
import { defaultTarget } from "./targets.ts";

export interface Finding {
  readonly name: string;
  /** "warn": it works, but not as well as it could. */
  readonly level: "ok" | "warn" | "fail";
  readonly found: string;
  readonly hint?: string;
}

type Verdict = Omit<Finding, "name">;

const ok = (found: string): Verdict => ({ level: "ok", found });
const warn = (found: string, hint: string): Verdict => ({ level: "warn", found, hint });
const fail = (found: string, hint: string): Verdict => ({ level: "fail", found, hint });

/** Bytes of the store after a cold forge, with its largest work folders. */
const COLD_FORGE = 12e9;
/** Bytes of free disk below which nothing can be built. */
const LITTLE_DISK = 1e9;
/** Bytes: the guest that makes the pool image has 1 GiB, and so has `anvil boot`; QEMU and the rest need some too. */
const LITTLE_MEMORY = 1.5 * 2 ** 30;
/** Milliseconds that a mirror has to answer. */
const MIRROR_LIMIT = 5000;

/** All findings in the order in which later checks need earlier ones. Expected failures are findings, not thrown. */
export async function* checkMachine(mirrors: () => Promise<readonly string[]>): AsyncGenerator<Finding> {
  yield { name: "node", ...node() };
  yield { name: "system", ...system() };
  yield { name: "cores", ...ok(`${os.availableParallelism()}; -j uses fewer`) };
  yield { name: "memory", ...memory() };
  let store: Store;
  try {
    store = openStore();
  } catch (error) {
    yield { name: "store", ...failure(error) };
    return;
  }
  yield { name: "store", ...ok(store.paths.top) };
  yield { name: "disk", ...disk(store) };
  const plan = await choose(store);
  const seeds = "fault" in plan ? [] : presentSeeds(plan.evaluation, store);
  yield { name: "sandbox", ...(await sandbox(seeds[0]?.tree)) };
  yield { name: "mirror", ...(await mirror(mirrors, "fault" in plan || needsDebian(plan.evaluation, store))) };
  yield {
    name: "channel",
    ...("fault" in plan ? failure(plan.fault) : ok(`${plan.evaluation.channel.name}: ${plan.why}`)),
  };
  yield { name: "kvm", ...(await kvm(seeds.find(({ seed }) => seed === seedVm)?.tree, store)) };
}

/** A fault as a finding; what is no fault is a mistake in the program and goes on. */
function failure(error: unknown): Verdict {
  if (!(error instanceof Fault)) throw error;
  const found = [`${error.code} ${error.message}`, ...error.details].join("; ");
  return error.hint === undefined ? { level: "fail", found } : fail(found, error.hint);
}

function node(): Verdict {
  const { version } = process;
  return Number(version.slice(1).split(".")[0]) >= 20 ? ok(version) : fail(version, "Node.js 20 or later is needed");
}

function system(): Verdict {
  const found = `${os.type()} ${os.release()} on ${os.machine()}`;
  return process.platform === "linux" && process.arch === "x64"
    ? ok(found)
    : fail(found, "the forge runs on Linux on x86-64 only: take such a machine or a virtual one");
}

function memory(): Verdict {
  const available = Number(/^MemAvailable: +(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "latin1"))?.[1]) * 1024;
  const found = `${gigabytes(available)} of ${gigabytes(os.totalmem())} available`;
  return available >= LITTLE_MEMORY
    ? ok(found)
    : warn(found, "end other programs or add swap: making the pool image and booting run a guest of 1 GiB");
}

function disk(store: Store): Verdict {
  const { bavail, bsize } = statfsSync(store.paths.top);
  const free = bavail * bsize;
  const held = store.records().reduce((sum, { bytes }) => sum + bytes, 0);
  const found = `${gigabytes(free)} free, the store holds ${gigabytes(held)}`;
  const hint = `a cold forge needs about ${gigabytes(COLD_FORGE)}: make room, run anvil gc, or choose another place with ANVIL_CACHE=<folder>`;
  if (free < LITTLE_DISK) return fail(found, hint);
  return free + held < COLD_FORGE ? warn(found, hint) : ok(found);
}

type Plan = { readonly evaluation: Evaluation; readonly why: string } | { readonly fault: unknown };

async function choose(store: Store): Promise<Plan> {
  try {
    const { channel, why } = await selectChannel("auto", store, [defaultTarget()]);
    const pins = readPins(store, channel);
    const targets = [seedBase, seedCc, seedVm, defaultTarget()];
    return { evaluation: evaluate(targets, { project: projectRoot(), channel, pins }), why };
  } catch (fault) {
    return { fault };
  }
}

/** Seeds in the store, with the folders of their trees. */
function presentSeeds({ targets }: Evaluation, store: Store): { readonly seed: Seed; readonly tree: string }[] {
  return [seedBase, seedCc, seedVm].flatMap((seed, index) => {
    const key = targets[index];
    return key !== undefined && store.has(key) ? [{ seed, tree: store.outputPath(key) }] : [];
  });
}

async function sandbox(tree: string | undefined): Promise<Verdict> {
  if (tree !== undefined) {
    try {
      const { other } = await openSandbox(tree);
      return ok(other === undefined ? "works" : `works; root's steps have the id ${other.id} for the kernel`);
    } catch (error) {
      return failure(error);
    }
  }
  const most = "/proc/sys/user/max_user_namespaces";
  if (!existsSync("/proc/self/ns/user"))
    return fail("the kernel has no user namespaces", "take a kernel with CONFIG_USER_NS=y");
  if (existsSync(most) && readFileSync(most, "latin1").trim() === "0")
    return fail("user namespaces are turned off", "turn them on: sysctl -w user.max_user_namespaces=15000");
  return warn("the kernel has user namespaces; not tried yet", "anvil forge tries as soon as the seed is here");
}

/** True when a download is missing that only a Debian mirror has. */
function needsDebian({ nodes }: Evaluation, store: Store): boolean {
  return [...nodes.values()].some(
    ({ derivation }) =>
      derivation.kind === "fetch" &&
      derivation.urls.length === 0 &&
      derivation.sha256 !== undefined &&
      !store.hasSource(derivation.sha256),
  );
}

async function mirror(mirrors: () => Promise<readonly string[]>, needed: boolean): Promise<Verdict> {
  const bad = (found: string, hint: string): Verdict =>
    needed ? fail(found, hint) : warn(found, `${hint}; all downloads are here, so none is needed now`);
  let roots: readonly string[];
  try {
    roots = await mirrors();
  } catch (error) {
    const { found, hint } = failure(error);
    return bad(found, hint ?? "");
  }
  const asked = await Promise.all(roots.map(async (root) => ({ root, problem: await silence(root) })));
  const silent = asked.flatMap(({ root, problem }) => (problem === undefined ? [] : [`${shown(root)}: ${problem}`]));
  const answers = asked.length - silent.length;
  if (answers === 0) return bad(silent.join("; "), "check the network, or name another with --debian-mirror <url>");
  const found = `${answers} of ${asked.length} answer`;
  return silent.length === 0 ? ok(found) : warn(`${found}; ${silent.join("; ")}`, "the others are asked first or next");
}

/** Why a mirror is of no use, or undefined when it has the suite of the seed. */
async function silence(root: string): Promise<string | undefined> {
  const { username, password } = new URL(root);
  const credentials = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString("base64");
  try {
    const { ok: found, status } = await httpRequest(`${shown(root)}/dists/${seedSuite}/InRelease`, {
      method: "HEAD",
      signal: AbortSignal.timeout(MIRROR_LIMIT),
      headers: username === "" ? {} : { authorization: `Basic ${credentials}` },
    });
    return found ? undefined : `HTTP status ${status}`;
  } catch (error) {
    const cause = (error as Error).cause ?? error;
    return cause instanceof Error ? cause.message : "no answer";
  }
}

/** Without the name and password that it may hold. */
function shown(root: string): string {
  const url = new URL(root);
  url.username = "";
  url.password = "";
  return url.href.replace(/\/+$/, "");
}

async function kvm(tree: string | undefined, store: Store): Promise<Verdict> {
  const slow = "guests are emulated: slower, and nothing else is different";
  if (tree === undefined) {
    if (!existsSync("/dev/kvm")) return warn("there is no /dev/kvm", slow);
    return warn("/dev/kvm is there; not tried yet", "anvil boot tries it, once the seed is here");
  }
  try {
    const { accel, why } = await probeAcceleration(await seedLauncher(tree), { cacheDir: store.paths.top });
    return accel === "kvm" ? ok(why) : warn(why, slow);
  } catch (error) {
    return failure(error);
  }
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
