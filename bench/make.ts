/** What a benchmark measures with, built as far as it is not in the user's store. */
import os from "node:os";
import { realise } from "../src/forge/forge.ts";
import type { Output } from "../src/recipe/recipe.ts";
import { mirrorsAt } from "../src/source/mirror.ts";
import type { Store } from "../src/store/store.ts";
import { project } from "../test/this-project.ts";

/** The folders of the outputs, in the order of the targets. Its downloads must be in the store. */
export async function make(store: Store, targets: readonly Output[]): Promise<string[]> {
  const { channel, why } = await project.selectChannel("auto");
  const evaluation = project.evaluate(targets, channel);
  const { ok } = await realise(evaluation, {
    project: project.root,
    store,
    why,
    jobs: os.availableParallelism(),
    keepGoing: false,
    acceptUnverified: new Set(),
    mirrors: () => Promise.resolve(mirrorsAt([])),
    crates: () => Promise.resolve([]),
    onPin: () => undefined,
    expected: new Map(),
    signal: new AbortController().signal,
    on: (event) => event.type === "failed" && process.stderr.write(`${event.fault.message}\n`),
  });
  if (!ok) throw new Error("what is to be measured cannot be made");
  return evaluation.targets.map((key) => store.outputs.path(key));
}
