/** Looks at what recipes take for granted of their sources, before anything is compiled (`src/recipe/preflight.ts`). */
import { readFileSync } from "node:fs";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import type { Key } from "../recipe/derivation.ts";
import { preflights, readReport, type Finding } from "../recipe/preflight.ts";
import type { Recipe, Seed } from "../recipe/recipe.ts";
import type { Store } from "../store/store.ts";
import { evaluate, versionsOf, withPins, type EvaluateOptions, type Evaluation } from "./evaluate.ts";
import type { Outcome } from "./forge.ts";

export interface Preflight {
  readonly evaluation: Evaluation;
  /** Components by the key of the step that looks at them. */
  readonly components: ReadonlyMap<Key, string>;
}

/** What there is to look at for these recipes. Throws what `evaluate` throws. */
export function planPreflight(recipes: Iterable<Recipe>, seed: Seed, options: EvaluateOptions): Preflight {
  const all = [...recipes];
  const channel = all.reduce(withPins, options.channel);
  const steps = preflights(all, seed, versionsOf(channel));
  const evaluation = evaluate(steps, { ...options, channel });
  const components = new Map(
    steps.map(({ sources }, index) => [evaluation.targets[index] as Key, sources[0]?.component ?? ""]),
  );
  return { evaluation, components };
}

/**
 * Every assumption and whether it holds, by component. A source that could not be downloaded, or that was refused, is an
 * assumption that does not hold.
 */
export function findingsOf({ evaluation, components }: Preflight, { failed }: Outcome, store: Store): Finding[] {
  return [...components].flatMap(([key, component]) => {
    if (store.outputs.has(key))
      return readReport(component, readFileSync(path.join(store.outputs.path(key), "report"), "utf8"));
    const needs = evaluation.nodes.get(key)?.needs ?? [];
    const fault = [key, ...needs].map((each) => failed.get(each)).find((each) => each !== undefined);
    if (fault === undefined) return [];
    const said = [...fault.details, ...(fault.log === undefined ? [] : [`log: ${fault.log}`])];
    return [{ holds: false, component, file: ".", what: `${fault.code}  ${fault.message}`, said }];
  });
}

/** Throws E_PREFLIGHT with what does not hold, a line each. */
export function requireAll(findings: readonly Finding[], channel: string): void {
  const broken = findings.filter(({ holds }) => !holds);
  if (broken.length === 0) return;
  throw new Fault("E_PREFLIGHT", `${broken.length} of ${findings.length} assumptions about the sources do not hold`, {
    details: broken.map(({ component, file, what }) => `${component}/${file}: ${what}`),
    hint: `anvil preflight --channel ${channel}   shows them with what was said; --no-preflight compiles all the same`,
  });
}
