/** Builds what targets need, and keeps what is known of the run. */
import type { Elsewhere } from "../forge/elsewhere.ts";
import type { Evaluation } from "../forge/evaluate.ts";
import { missing, realise, type Outcome, type RealiseOptions } from "../forge/forge.ts";
import { localSources, unusedNotices } from "../forge/local-sources.ts";
import { wholePlan } from "../forge/plan.ts";
import { findingsOf, planPreflight, requireAll } from "../forge/preflight.ts";
import { ensureKey, readKey } from "../inject/key-file.ts";
import type { Key } from "../recipe/derivation.ts";
import type { Output } from "../recipe/recipe.ts";
import { readLimits } from "../sandbox/limits.ts";
import { isProven } from "../source/channel.ts";
import type { Store } from "../store/store.ts";
import { downloads } from "./places.ts";
import type { Plan } from "./plan.ts";
import type { Project } from "./project.ts";
import { realisation, type OpenView, type RunChoice } from "./realisation.ts";
import { RunRecord } from "./run-record.ts";
import { acceptsIngots, recipesOf } from "./targets.ts";

export interface BuildChoice extends RunChoice {
  /** Of a channel that was never built whole: look at its sources before anything is compiled. */
  readonly preflight: boolean;
}

/** How something is built, whatever it is. */
export interface Builder {
  readonly project: Project;
  readonly choice: BuildChoice;
  readonly jobs: number;
  readonly store: Store;
  readonly signal: AbortSignal;
  readonly view: OpenView;
}

export interface BuildRequest extends Builder {
  readonly targets: readonly Output[];
  /** Shows nothing when there is nothing to do. */
  readonly silentWhenDone?: boolean;
  /** Where the targets are built, if not in the sandbox. */
  readonly elsewhere?: Elsewhere;
}

/** The store with what was built in a Monolith for these ingots. Throws E_NO_TARGET. */
export async function storeAccepting(project: Project, ingots: readonly string[]): Promise<Store> {
  if (ingots.length === 0) return project.store;
  const targets = await project.targets();
  ingots.forEach((name) => targets.requireIngot(name));
  return project.store.accepting(ingots);
}

/** The named recipes, or the image. The first image that a user forges needs a key whose ingots it accepts: it is made. */
export async function targetsToForge(
  project: Project,
  names: readonly string[],
  rootLogin: boolean | undefined,
): Promise<readonly Output[]> {
  const all = await project.targets();
  const targets = all.named(names, rootLogin);
  if (!acceptsIngots(targets) || readKey(project.keys) !== undefined) return targets;
  ensureKey(project.keys);
  return all.named(names, rootLogin);
}

/** The plan whose targets are all in the store now; undefined when something failed, which its events say, or was interrupted. */
export async function build(request: BuildRequest): Promise<Plan | undefined> {
  const { project, targets, choice, jobs, store, signal, elsewhere: place } = request;
  const limits = readLimits(project.env);
  const chosen = await project.buildChannel(choice, { signal });
  const { channel, why } = chosen;
  const first = project.evaluate(targets, channel);
  // that it is made from sources of this machine is said every time
  const silent = request.silentWhenDone === true && localSources(first).length === 0;
  if (silent && missing(first, store).length === 0) return { evaluation: first, why };
  const record = new RunRecord(project);
  const view = request.view(record.profile);
  const places = downloads(project, choice.places, first);
  record.begin();
  try {
    const options: RealiseOptions = {
      ...(await realisation(project, choice, chosen, places, {
        jobs,
        limits,
        signal,
        expected: new Map([...record.profile].map(([name, measure]) => [name, measure.seconds])),
        on: (event) => {
          record.add(event);
          view(event);
        },
      })),
      store,
    };
    const unpinned = unpinnedFetches(first, options.acceptUnverified);
    if (unpinned.targets.length > 0 && !(await realise(unpinned, options)).ok) return undefined;
    const evaluateNow = (): Evaluation => project.evaluate(targets, channel);
    const known = unpinned.targets.length > 0 ? evaluateNow() : first;
    const make = async (plan: Evaluation): Promise<boolean> => (await realise(plan, options)).ok;
    const preparation = {
      signal,
      keepGoing: options.keepGoing,
      makeSeed: (seed: Key) => make({ ...first, targets: [seed] }),
    };
    const notices = [...(await places.prepare(preparation))];
    if (choice.preflight && !isProven(channel)) await lookFirst(project, targets, known, options);
    const evaluation = await wholePlan(known, evaluateNow, make);
    if (evaluation === undefined) return undefined;
    if (evaluation !== known) {
      places.follow(evaluation);
      notices.push(...(await places.prepare(preparation)));
    }
    const elsewhere = place === undefined ? {} : { elsewhere: { place, steps: new Set(evaluation.targets) } };
    const outcome = await realise(evaluation, {
      ...options,
      ...elsewhere,
      notices: [...unusedNotices(evaluation), ...notices],
    });
    // what another machine needed says nothing about this one
    if (outcome.built.length > 0 && place === undefined) record.learn();
    return outcome.ok && !signal.aborted ? { evaluation, why } : undefined;
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
  const preflight = planPreflight(recipes, cc, {
    project: project.root,
    own: project.folder,
    channel,
    pins: project.pins(channel),
  });
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
