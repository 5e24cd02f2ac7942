/** What the command line can name: every recipe reachable from the ISO or from the proof of the compiler, by its name. */
import { iso } from "../../recipes/iso.ts";
import { selfHosting } from "../../recipes/self-hosting.ts";
import { Fault } from "../fault/fault.ts";
import { isRecipe, type Output } from "../recipe/recipe.ts";

export const defaultTarget = iso;

/** The file that the default target makes. */
export const IMAGE = "anvilos-phase2.iso";

/** Every output that these need, and themselves; what is needed stands before what needs it. */
function reachable(targets: readonly Output[]): ReadonlySet<Output> {
  const found = new Set<Output>();
  const visit = (output: Output): void => {
    if (found.has(output)) return;
    dependencies(output).forEach(visit);
    found.add(output);
  };
  targets.forEach(visit);
  return found;
}

/** All outputs by name, in build order. A seed is called `seed-<name>`. */
export function allOutputs(): ReadonlyMap<string, Output> {
  const named = new Map<string, Output>();
  for (const output of reachable([defaultTarget, ...selfHosting])) {
    const name = output.kind === "seed" ? `seed-${output.name}` : output.name;
    if (named.has(name)) throw new Error(`two recipes are called ${name}`);
    named.set(name, output);
  }
  return named;
}

/** Names of the channel's components that these outputs are made from. */
export function componentsOf(targets: readonly Output[]): string[] {
  const recipes = [...reachable(targets)].filter(isRecipe);
  return [...new Set(recipes.flatMap((recipe) => recipe.sources.map(({ component }) => component)))];
}

function dependencies(output: Output): readonly Output[] {
  switch (output.kind) {
    case "seed":
      return [];
    case "cpio":
      return [output.tree];
    case "step":
      return [output.root, ...output.tools, ...output.link, ...output.inputs];
  }
}

/** Throws E_NO_TARGET. */
export function findTarget(name: string): Output {
  const outputs = allOutputs();
  const output = outputs.get(name);
  if (output !== undefined) return output;
  throw new Fault("E_NO_TARGET", `there is no recipe "${name}"`, {
    hint: `recipes: ${[...outputs.keys()].join(", ")}`,
  });
}
