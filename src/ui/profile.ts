/**
 * How long things took, by name and not by key, so that the next run can say how long it will take although the keys
 * have changed. Pure values; the caller decides where one is kept.
 */
import type { Key } from "../recipe/derivation.ts";
import { label, type NodeRun, type Run } from "./run.ts";

export interface Measure {
  /** Wall-clock time. */
  readonly seconds: number;
  /** Processor time of the step; undefined for what has none (downloads). */
  readonly cpu: number | undefined;
}

/** Measures by label: `zfs`, `fetch zfs`, `seed build`. */
export type Profile = ReadonlyMap<string, Measure>;

export const emptyProfile: Profile = new Map();

const FORMAT = 1;

/** What this run measured: only nodes that it made itself, to the end. */
export function profileOf(run: Run): Profile {
  const measures = new Map<string, Measure>();
  for (const { node, result } of run.having("done")) {
    if (result !== undefined) measures.set(label(node), { seconds: result.seconds, cpu: result.cpu });
  }
  return measures;
}

/** The newest measure of each name; what `newer` did not make keeps its old one. */
export function mergeProfiles(older: Profile, newer: Profile): Profile {
  return new Map([...older, ...newer]);
}

/** JSON with sorted names and a trailing newline: equal profiles give equal text. */
export function serialiseProfile(profile: Profile): string {
  const names = [...profile.keys()].sort();
  const measures = Object.fromEntries(
    names.map((name) => {
      const { seconds, cpu } = profile.get(name) as Measure;
      return [name, cpu === undefined ? { seconds } : { seconds, cpu }];
    }),
  );
  return `${JSON.stringify({ format: FORMAT, measures }, null, 1)}\n`;
}

/** Reads what `serialiseProfile` wrote. A profile is only a hint: entries that make no sense are left out. */
export function parseProfile(text: string): Profile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return emptyProfile;
  }
  if (!isObject(value) || value["format"] !== FORMAT || !isObject(value["measures"])) return emptyProfile;
  const profile = new Map<string, Measure>();
  for (const [name, entry] of Object.entries(value["measures"])) {
    if (!isObject(entry)) continue;
    const { seconds, cpu } = entry;
    if (isDuration(seconds)) profile.set(name, { seconds, cpu: isDuration(cpu) ? cpu : undefined });
  }
  return profile;
}

export interface Remaining {
  /** Until everything is made, as far as it is known. */
  readonly seconds: number;
  /** Nodes of which no profile says how long they take: the rest takes at least `seconds`. */
  readonly unknown: number;
}

/**
 * What is left of a run at `now` (milliseconds since the forge started): the longer of the longest chain of nodes that
 * wait for each other, and the processor time of all steps spread over the jobs. Undefined before the plan is known.
 */
export function remaining(run: Run, profile: Profile, now: number): Remaining | undefined {
  if (run.plan === undefined) return undefined;
  const chains = new Map<Key, number>();
  const blocked = new Set<Key>();
  let work = 0;
  let longest = 0;
  let unknown = 0;
  for (const node of run.nodes.values()) {
    const { key, needs } = node.node;
    if (node.status === "failed" || node.status === "skipped" || needs.some((need) => blocked.has(need))) {
      blocked.add(key);
      continue;
    }
    if (node.status !== "pending" && node.status !== "running") continue;
    const left = leftOf(node, profile, now);
    if (left === undefined) unknown += 1;
    const chain = (left?.seconds ?? 0) + Math.max(0, ...needs.map((need) => chains.get(need) ?? 0));
    chains.set(key, chain);
    longest = Math.max(longest, chain);
    work += left?.cpu ?? 0;
  }
  return {
    seconds: Math.max(longest, work / Math.max(1, run.plan.jobs)),
    unknown,
  };
}

/** What is left of one node. Downloads take no processor. */
function leftOf(run: NodeRun, profile: Profile, now: number): Measure | undefined {
  const byRate = downloadLeft(run, now);
  if (byRate !== undefined) return { seconds: byRate, cpu: 0 };
  const measure = profile.get(label(run.node));
  if (measure === undefined) return undefined;
  const spent = run.start === undefined ? 0 : (now - run.start) / 1000;
  const seconds = Math.max(0, measure.seconds - spent);
  if (run.node.kind === "fetch") return { seconds, cpu: 0 };
  const share = measure.seconds > 0 ? seconds / measure.seconds : 0;
  return { seconds, cpu: (measure.cpu ?? measure.seconds) * share };
}

/** Seconds until a running download is complete at its present speed. */
export function downloadLeft({ status, loaded, total, rate }: NodeRun, now: number): number | undefined {
  const speed = rate.perSecond(now);
  if (status !== "running" || loaded === undefined || total === undefined || speed === undefined || speed <= 0) {
    return undefined;
  }
  return Math.max(0, total - loaded) / speed;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isDuration(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
