/** What outputs need: the graph of recipe values. */
import type { Output } from "./recipe.ts";

/** What an output is made with, directly. */
export function dependencies(output: Output): readonly Output[] {
  switch (output.kind) {
    case "seed":
      return [];
    case "cpio":
      return [output.tree];
    case "step":
      return [output.root, ...output.tools, ...output.link, ...output.inputs];
  }
}

/** Every output that these need, and themselves; what is needed stands before what needs it. */
export function reachable(targets: Iterable<Output>): ReadonlySet<Output> {
  const found = new Set<Output>();
  const visit = (output: Output): void => {
    if (found.has(output)) return;
    dependencies(output).forEach(visit);
    found.add(output);
  };
  for (const target of targets) visit(target);
  return found;
}
