/** What `anvil doctor` looks at, one finding after the other. */
import { existsSync, readFileSync, statfsSync } from "node:fs";
import os from "node:os";
import { Fault } from "../fault/fault.ts";
import type { Downloads } from "../forge/downloads.ts";
import { type Evaluation } from "../forge/evaluate.ts";
import { missingFetches } from "../forge/forge.ts";
import { hostsOf, placeKind, type PlaceKind } from "../forge/places.ts";
import type { Channel } from "../recipe/channel.ts";
import type { Seed } from "../recipe/recipe.ts";
import { openSandbox } from "../sandbox/sandbox.ts";
import { crateUrl } from "../source/crates-mirror.ts";
import { loadChannel } from "../source/channel.ts";
import { seedSuite } from "../source/seed-suites.ts";
import { describeNetworkError, httpClient, withoutCredentials } from "../source/http.ts";
import type { DebianMirrors } from "../source/mirror.ts";
import { checkCache, networkWarning, writableByOthers } from "../store/fitness.ts";
import type { Store } from "../store/store.ts";
import { probeAcceleration } from "../vm/accel.ts";
import { seedLauncher } from "../vm/seed-launcher.ts";
import type { Project } from "../project/project.ts";

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
/** Milliseconds that a site has to answer. */
const SITE_LIMIT = 5000;

/** Where downloads come from, with a store and for a plan. */
export interface CheckedPlaces {
  readonly mirrors: () => Promise<DebianMirrors>;
  readonly places: (evaluation: Evaluation) => Downloads;
}

/** All findings in the order in which later checks need earlier ones. Expected failures are findings, not thrown. */
export async function* checkMachine(project: Project, { mirrors, places }: CheckedPlaces): AsyncGenerator<Finding> {
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
  const found = await asVerdict(() => mirrors());
  yield { name: "mirror", ...(await archive(found, "archive", isNeeded("Debian archive"))) };
  yield { name: "security", ...(await archive(found, "security", isNeeded("Debian security archive"))) };
  yield { name: "upstream", ...(await upstream(project, isNeeded("release sites"))) };
  if (!("fault" in plan)) yield { name: "crates", ...(await crates(places(plan.evaluation), plan.evaluation.channel)) };
  yield {
    name: "channel",
    ...("fault" in plan ? failure(plan.fault) : ok(`${plan.evaluation.channel.name}: ${plan.why}`)),
  };
  yield { name: "kvm", ...(await kvm(seeds.find(({ seed }) => seed.name === "vm")?.tree, store)) };
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
  const { bavail, bsize } = statfsSync(store.paths.top);
  const free = bavail * bsize;
  const held = store.records().reduce((sum, { bytes }) => sum + bytes, 0);
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

/** Which proxies are used, without names and passwords. */
function proxy(): Verdict {
  try {
    const used = ["http", "https"].flatMap((scheme) => {
      const found = httpClient().proxyFor(new URL(`${scheme}://host.invalid/`));
      return found === undefined ? [] : [`${scheme} by ${found.shown} (${found.source})`];
    });
    return ok(used.length === 0 ? "none is named" : used.join(", "));
  } catch (error) {
    return failure(error);
  }
}

/** A value, or what its fault is as a finding. */
async function asVerdict<T>(ask: () => Promise<T>): Promise<T | Verdict> {
  try {
    return await ask();
  } catch (error) {
    return failure(error);
  }
}

const notNeeded = "what is here already needs none";

const both = (hint: string | undefined): string =>
  hint === undefined || hint === "" ? notNeeded : `${hint}; ${notNeeded}`;

/** How many of the places answer. One that answers is enough for a forge, so that the others are a warning. */
async function answering(urls: readonly string[], needed: boolean, hint: string): Promise<Verdict> {
  const asked = await Promise.all(urls.map(async (url) => ({ url, problem: await silence(url) })));
  const silent = byProblem(asked.filter(({ problem }) => problem !== undefined));
  const answers = asked.filter(({ problem }) => problem === undefined).length;
  if (answers === 0) return needed ? fail(silent, hint) : warn(silent, both(hint));
  const found = `${answers} of ${asked.length} answer`;
  return silent === "" ? ok(found) : warn(`${found}; ${silent}`, "the others are asked first or next");
}

/** Those with the same problem together. */
function byProblem(asked: readonly { readonly url: string; readonly problem: string | undefined }[]): string {
  const groups = new Map<string, string[]>();
  for (const { url, problem = "" } of asked) groups.set(problem, [...(groups.get(problem) ?? []), siteOf(url)]);
  return [...groups]
    .map(([problem, [first, ...more]]) => `${first}${more.length > 0 ? ` and ${more.length} more` : ""}: ${problem}`)
    .join("; ");
}

async function archive(
  mirrors: DebianMirrors | Verdict,
  which: "archive" | "security",
  needed: boolean,
): Promise<Verdict> {
  if ("level" in mirrors) {
    const found = which === "archive" ? mirrors.found : "none is known, as no mirror is";
    return needed ? fail(found, mirrors.hint ?? "") : warn(found, both(mirrors.hint));
  }
  const suite = which === "archive" ? seedSuite : `${seedSuite}-security`;
  const flag = which === "archive" ? "--debian-mirror" : "--debian-security-mirror";
  const verdict = await answering(
    mirrors[which].map((root) => `${root}/dists/${suite}/InRelease`),
    needed,
    `check the network, or name another with ${flag} <url>`,
  );
  if (!mirrors.isPublic) return verdict;
  return {
    ...verdict,
    found: `${verdict.found}; public ones, as none is named here: ${hostsOf(mirrors[which]).join(", ")}`,
  };
}

/** The sites where the sources of the channel with the design's own versions are released. */
async function upstream(project: Project, needed: boolean): Promise<Verdict> {
  let channel: Channel;
  try {
    channel = await loadChannel(project.root, "rfc-0054");
  } catch (error) {
    return failure(error);
  }
  const urls = Object.values(channel.components).flatMap((component) => component.urls ?? []);
  const sites = new Map(urls.map((url) => [new URL(url).origin, url]));
  const hint = "channel debian takes all sources from a Debian mirror";
  const verdict = await answering([...sites.values()], needed, hint);
  return verdict.level === "warn" ? { ...verdict, hint } : verdict;
}

async function crates(places: Downloads, { crates: lists = {} }: Channel): Promise<Verdict> {
  const [crate] = Object.values(lists).flat();
  if (crate === undefined) return ok("the channel pins none");
  const hint = "only the ingot vmm needs it; --crates-mirror <url> names another";
  try {
    const named = await places.namedRegistries();
    if (named === undefined && !places.canAskCargo())
      return warn("cargo's own registry; not tried yet", "anvil forge seed-rust brings cargo; " + hint);
    const templates = named ?? (await places.crates());
    const verdict = await answering(
      templates.map((template) => crateUrl(template, crate)),
      false,
      hint,
    );
    return {
      ...verdict,
      found: `${verdict.found}${named === undefined ? "; cargo's own registry" : ""}`,
      ...(verdict.level === "ok" ? {} : { hint }),
    };
  } catch (error) {
    const { found } = failure(error);
    return warn(found, hint);
  }
}

/** Why a place is of no use, or undefined when it has what is asked for. */
async function silence(url: string): Promise<string | undefined> {
  try {
    const response = await httpClient().request(url, { method: "HEAD", limit: SITE_LIMIT });
    response.discard();
    // a site that does not take the method is there
    return response.status < 300 || response.status === 405 ? undefined : `HTTP status ${response.status}`;
  } catch (error) {
    return error instanceof Fault ? `${error.code} ${error.message}` : describeNetworkError(error);
  }
}

/** The root of a mirror, or a site, without the name and password that the URL may hold. */
function siteOf(url: string): string {
  const shown = withoutCredentials(url);
  return shown.includes("/dists/") ? shown.replace(/\/dists\/.*$/, "") : new URL(shown).origin;
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
