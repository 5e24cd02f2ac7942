/** What `anvil doctor` looks at, one finding after the other. */
import { existsSync, readFileSync } from "node:fs";
import os from "node:os";
import type { Evaluation } from "../forge/evaluate.ts";
import { missingFetches } from "../forge/forge.ts";
import { placeKind, type PlaceKind } from "../forge/places.ts";
import type { Seed } from "../recipe/recipe.ts";
import { openSandbox } from "../sandbox/sandbox.ts";
import { checkCache, networkWarning, writableByOthers } from "../store/fitness.ts";
import type { Store } from "../store/store.ts";
import { probeAcceleration } from "../vm/accel.ts";
import { seedLauncher } from "../vm/seed-launcher.ts";
import { fail, failure, ok, warn, type Finding, type Verdict } from "./finding.ts";
import { archive, asVerdict, crates, proxy, upstream } from "./network-checks.ts";
import { downloads, mirrors, type NamedPlaces } from "./places.ts";
import { freeBytes } from "./plan.ts";
import type { Project } from "./project.ts";

/** Bytes of the store after a cold forge, with its largest work folders. */
const COLD_FORGE = 12e9;
/** Bytes of free disk below which nothing can be built. */
const LITTLE_DISK = 1e9;
/** Bytes: the guest that makes the pool image has 1 GiB, and so has `anvil boot`; QEMU and the rest need some too. */
const LITTLE_MEMORY = 1.5 * 2 ** 30;
/** All findings in the order in which later checks need earlier ones. Expected failures are findings, not thrown. */
export async function* checkMachine(project: Project, named: NamedPlaces): AsyncGenerator<Finding> {
  yield { name: "node", ...node() };
  yield { name: "system", ...system() };
  yield { name: "cores", ...ok(`${os.availableParallelism()}; -j uses fewer`) };
  yield { name: "memory", ...memory() };
  let store: Store;
  try {
    store = project.store;
  } catch (error) {
    yield { name: "store", ...failure(error) };
    return;
  }
  yield { name: "store", ...storeFolder(store) };
  yield { name: "disk", ...disk(store) };
  const plan = await choose(project);
  const seeds = "fault" in plan ? [] : presentSeeds(plan, store);
  yield { name: "sandbox", ...(await sandbox(seeds[0]?.tree)) };
  yield { name: "proxy", ...proxy() };
  const needed = new Set("fault" in plan ? [] : missingFetches(plan.evaluation, store).map(placeKind));
  const isNeeded = (kind: PlaceKind): boolean => "fault" in plan || needed.has(kind);
  const found = await asVerdict(() => mirrors(project, named));
  yield { name: "mirror", ...(await archive(found, "archive", isNeeded("Debian archive"))) };
  yield { name: "security", ...(await archive(found, "security", isNeeded("Debian security archive"))) };
  yield { name: "upstream", ...(await upstream(project, isNeeded("release sites"))) };
  if (!("fault" in plan))
    yield { name: "crates", ...(await crates(downloads(project, named, plan.evaluation), plan.evaluation.channel)) };
  yield {
    name: "channel",
    ...("fault" in plan ? failure(plan.fault) : ok(`${plan.evaluation.channel.name}: ${plan.why}`)),
  };
  yield { name: "kvm", ...(await kvm(seeds.find(({ seed }) => seed.name === "vm")?.tree, store)) };
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

function storeFolder(store: Store): Verdict {
  const { top } = store.paths;
  try {
    checkCache(store);
  } catch (error) {
    return failure(error);
  }
  const network = networkWarning(top);
  if (network !== undefined) return warn(network, "choose a local folder with ANVIL_CACHE=<folder>");
  const others = writableByOthers(top);
  return others === undefined ? ok(top) : warn(`${top}: ${others}`, "whoever writes there decides what runs as you");
}

function disk(store: Store): Verdict {
  const free = freeBytes(store);
  const held = store.outputs.records().reduce((sum, { bytes }) => sum + bytes, 0);
  const found = `${gigabytes(free)} free, the store holds ${gigabytes(held)}`;
  const hint = `a cold forge needs about ${gigabytes(COLD_FORGE)}: make room, run anvil gc, or choose another place with ANVIL_CACHE=<folder>`;
  if (free < LITTLE_DISK) return fail(found, hint);
  return free + held < COLD_FORGE ? warn(found, hint) : ok(found);
}

type Plan =
  | { readonly evaluation: Evaluation; readonly why: string; readonly seeds: readonly Seed[] }
  | { readonly fault: unknown };

async function choose(project: Project): Promise<Plan> {
  try {
    const { channel, why } = await project.selectChannel("auto");
    const all = await project.targets();
    const { base, cc, vm, rust } = all.catalogue.seeds;
    return { evaluation: project.evaluate([base, cc, vm, rust, all.image()], channel), why, seeds: [base, cc, vm] };
  } catch (fault) {
    return { fault };
  }
}

/** Seeds in the store, with the folders of their trees. */
function presentSeeds(
  { evaluation: { targets }, seeds }: Extract<Plan, { why: string }>,
  store: Store,
): { readonly seed: Seed; readonly tree: string }[] {
  return seeds.flatMap((seed, index) => {
    const key = targets[index];
    return key !== undefined && store.outputs.has(key) ? [{ seed, tree: store.outputs.path(key) }] : [];
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

/** Which proxies are used, without names and passwords. */
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
