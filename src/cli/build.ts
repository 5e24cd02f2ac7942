/** What `anvil forge` and `anvil inject` share: builds what targets need, shows it, keeps events and profile. */
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Elsewhere } from "../forge/elsewhere.ts";
import { type Evaluation } from "../forge/evaluate.ts";
import type { ForgeEvent } from "../forge/events.ts";
import { missing, realise, type Outcome, type RealiseOptions } from "../forge/forge.ts";
import { wholePlan } from "../forge/plan.ts";
import { findingsOf, planPreflight, requireAll } from "../forge/preflight.ts";
import { replaceFile } from "../host/replace-file.ts";
import type { Key } from "../recipe/derivation.ts";
import type { Output } from "../recipe/recipe.ts";
import { readLimits } from "../sandbox/limits.ts";
import { isProven } from "../source/channel.ts";
import type { Store } from "../store/store.ts";
import { serialiseEvent } from "../ui/json.ts";
import { chooseView } from "../ui/open.ts";
import { mergeProfiles, parseProfile, profileOf, serialiseProfile, emptyProfile, type Profile } from "../ui/profile.ts";
import { Run } from "../ui/run.ts";
import { usage } from "./command.ts";
import { downloads, realiseOptions, type PlaceValues } from "./realise-options.ts";
import type { Project } from "../project/project.ts";
import { recipesOf } from "../project/targets.ts";

export const buildOptions = {
  ...realiseOptions,
  jobs: { type: "string", short: "j" },
  "accept-from-vm": { type: "string", multiple: true, default: [] as string[] },
  "no-preflight": { type: "boolean", default: false },
} as const;

/** The store with what `--accept-from-vm` names, and what is being built for `also`. Throws E_NO_TARGET. */
export async function openBuildStore(
  values: { readonly "accept-from-vm": readonly string[] },
  project: Project,
  also?: string,
): Promise<Store> {
  const ingots = [...values["accept-from-vm"], ...(also === undefined ? [] : [also])];
  if (ingots.length === 0) return project.store;
  const targets = await project.targets();
  ingots.forEach((name) => targets.requireIngot(name));
  return project.store.accepting(ingots);
}

export interface BuildValues extends PlaceValues {
  readonly channel: string;
  readonly "keep-going": boolean;
  readonly "accept-unverified": readonly string[];
  readonly "no-preflight": boolean;
  readonly json: boolean;
  readonly plain: boolean;
}

export interface BuildRequest {
  readonly project: Project;
  readonly targets: readonly Output[];
  readonly values: BuildValues;
  readonly jobs: number;
  readonly store: Store;
  readonly signal: AbortSignal;
  /** Shows nothing when there is nothing to do. */
  readonly silentWhenDone?: boolean;
  /** Where the targets are built, if not in the sandbox. */
  readonly elsewhere?: Elsewhere;
}

export interface Built {
  readonly evaluation: Evaluation;
  /** Why this channel was chosen. */
  readonly why: string;
}

/** The evaluation whose targets are all in the store now, or the exit status of a run that did not come so far. */
export async function build(request: BuildRequest): Promise<Built | number> {
  const { project, targets, values, jobs, store, signal, elsewhere: place } = request;
  const limits = readLimits(project.env);
  const { channel, why } = await project.buildChannel(values.channel);
  const evaluateNow = (): Evaluation => project.evaluate(targets, channel);
  const accepted = new Set(values["accept-unverified"]);
  const first = evaluateNow();
  if (request.silentWhenDone === true && missing(first, store).length === 0) return { evaluation: first, why };
  const profileFile = path.join(store.paths.top, "profile.json");
  const profile = existsSync(profileFile) ? parseProfile(readFileSync(profileFile, "utf8")) : emptyProfile;
  const { json, plain } = values;
  const view = chooseView({ json, plain, stream: process.stdout, env: process.env, profile });
  const places = downloads(values, project, first);
  const run = new Run();
  const eventFile = project.lastRunFile;
  // a new file: one of an earlier version could be read by others
  rmSync(eventFile, { force: true });
  writeFileSync(eventFile, "", { mode: 0o600 });
  try {
    const note = await places.note();
    const options: RealiseOptions = {
      project: project.root,
      store,
      why: note === "" ? why : `${why}; ${note}`,
      jobs,
      keepGoing: values["keep-going"],
      limits,
      acceptUnverified: accepted,
      mirrors: places.mirrors,
      crates: places.crates,
      onPin: (component, sha256) => project.keepPin(channel, component, sha256),
      expected: new Map([...profile].map(([name, measure]) => [name, measure.seconds])),
      signal,
      on: (event) => {
        run.apply(event);
        keepEvent(eventFile, event);
        view(event);
      },
    };
    const unpinned = unpinnedFetches(first, accepted);
    if (unpinned.targets.length > 0 && !(await realise(unpinned, options)).ok) return 1;
    const known = unpinned.targets.length > 0 ? evaluateNow() : first;
    const make = async (plan: Evaluation): Promise<boolean> => (await realise(plan, options)).ok;
    const preparation = {
      signal,
      keepGoing: options.keepGoing,
      makeSeed: (seed: Key) => make({ ...first, targets: [seed] }),
    };
    const notices = [...(await places.prepare(preparation))];
    if (!values["no-preflight"] && !isProven(channel)) await lookFirst(project, targets, known, options);
    const evaluation = await wholePlan(known, evaluateNow, make);
    if (evaluation === undefined) return signal.aborted ? 130 : 1;
    if (evaluation !== known) {
      places.follow(evaluation);
      notices.push(...(await places.prepare(preparation)));
    }
    const elsewhere = place === undefined ? {} : { elsewhere: { place, steps: new Set(evaluation.targets) } };
    const outcome = await realise(evaluation, { ...options, ...elsewhere, notices });
    // what another machine needed says nothing about this one
    if (outcome.built.length > 0 && place === undefined)
      writeProfile(profileFile, mergeProfiles(profile, profileOf(run)));
    if (signal.aborted) return 130;
    return outcome.ok ? { evaluation, why } : 1;
  } finally {
    view.close();
  }
}

/** Before anything of a channel is compiled that was never built whole. Throws E_PREFLIGHT. */
async function lookFirst(
  project: Project,
  targets: readonly Output[],
  evaluation: Evaluation,
  options: RealiseOptions,
): Promise<void> {
  const { store } = options;
  const { channel } = evaluation;
  const absent = new Set(missing(evaluation, store).map(({ derivation }) => derivation.name));
  const recipes = recipesOf(targets).filter(({ name }) => absent.has(name));
  const { cc } = (await project.targets()).catalogue.seeds;
  const preflight = planPreflight(recipes, cc, { project: project.root, channel, pins: project.pins(channel) });
  const none: Outcome = { ok: true, built: [], failed: new Map() };
  const isThere = missing(preflight.evaluation, store).length === 0;
  const outcome = isThere ? none : await realise(preflight.evaluation, { ...options, keepGoing: true });
  if (!options.signal.aborted) requireAll(findingsOf(preflight, outcome, store), channel.name);
}

/** Accepted sources that have no pin: they are downloaded first, because keys depend on their hashes. */
function unpinnedFetches(evaluation: Evaluation, accepted: ReadonlySet<string>): Evaluation {
  const nodes = [...evaluation.nodes.values()].filter(
    ({ derivation }) => derivation.kind === "fetch" && derivation.sha256 === undefined && accepted.has(derivation.name),
  );
  return { ...evaluation, targets: nodes.map((node) => node.key) };
}

/** The number that `--jobs` gives; throws E_USAGE. */
export function jobCount(text: string | undefined, help: string): number {
  if (text === undefined) return os.availableParallelism();
  const jobs = Number(text);
  if (!Number.isInteger(jobs) || jobs < 1 || jobs > 1024)
    throw usage(`--jobs wants a whole number from 1 to 1024, not "${text}"`, help);
  return jobs;
}

/** The events of the last run, for `anvil report`; output lines are in the logs. */
function keepEvent(file: string, event: ForgeEvent): void {
  if (event.type === "output" || event.type === "progress") return;
  try {
    appendFileSync(file, `${serialiseEvent(event)}\n`);
  } catch {
    /* a report is a convenience: a full disk is told by what needs the space */
  }
}

function writeProfile(file: string, profile: Profile): void {
  replaceFile(file, serialiseProfile(profile));
}
