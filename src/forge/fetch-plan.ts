/** The downloads of a plan alone. */
import type { FetchDerivation } from "../recipe/derivation.ts";
import type { Recipe, Seed } from "../recipe/recipe.ts";
import { isProven } from "../source/channel.ts";
import type { EvaluateOptions, Evaluation } from "./evaluate.ts";
import { planPreflight } from "./preflight.ts";

/**
 * All that a forge will download: for the evaluation, and for the look at its sources that comes before it where a channel
 * was never built whole. Nothing else is in it.
 * @param seed has the programs of that look
 */
export function fetchPlan(
  evaluation: Evaluation,
  recipes: Iterable<Recipe>,
  seed: Seed,
  options: EvaluateOptions,
): Evaluation {
  const { channel } = evaluation;
  const plans = [evaluation, ...(isProven(channel) ? [] : [planPreflight(recipes, seed, options).evaluation])];
  const nodes = new Map(
    plans.flatMap((plan) => [...plan.nodes].filter(([, { derivation }]) => derivation.kind === "fetch")),
  );
  return { channel, nodes, targets: [...nodes.keys()], pending: [] };
}

/** The files, in the order of the plan. */
export function fetchesOf({ nodes }: Evaluation): FetchDerivation[] {
  return [...nodes.values()].flatMap(({ derivation }) => (derivation.kind === "fetch" ? [derivation] : []));
}
