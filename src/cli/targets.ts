/** What the command line can name: every recipe reachable from the ISO, by its name. */
import { anvilCc as iso } from "../../recipes/toolchain.ts";
import { Fault } from "../fault/fault.ts";
import type { Output } from "../recipe/recipe.ts";

export const defaultTarget = iso;

/** All outputs by name, what is needed standing before what needs it. */
export function allOutputs(): ReadonlyMap<string, Output> {
  const found = new Map<string, Output>();
  const visit = (output: Output): void => {
    if (found.get(output.name) === output) return;
    dependencies(output).forEach(visit);
    const other = found.get(output.name);
    if (other !== undefined && other !== output) throw new Error(`two recipes are called ${output.name}`);
    found.set(output.name, output);
  };
  visit(defaultTarget);
  return found;
}

function dependencies(output: Output): readonly Output[] {
  switch (output.kind) {
    case "seed":
      return [];
    case "cpio":
      return [output.tree];
    case "step":
      return [output.seed, ...output.tools, ...output.link, ...output.inputs];
  }
}

/** Throws E_NO_TARGET. */
export function findTarget(name: string): Output {
  const outputs = allOutputs();
  const output = outputs.get(name);
  if (output !== undefined) return output;
  throw new Fault("E_NO_TARGET", `there is no recipe "${name}"`, { hint: `recipes: ${[...outputs.keys()].join(", ")}` });
}
