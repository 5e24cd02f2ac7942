/** The diverse way to ANVIL-CC is the usual way but for the seed. `anvil forge diverse-double-compilation` goes it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { diverseDoubleCompilation } from "../../recipes/diverse.ts";
import { seedClang } from "../../recipes/seed-clang.ts";
import { stage3 } from "../../recipes/stages.ts";
import { evaluate, type Node } from "../../src/forge/evaluate.ts";
import type { StepDerivation } from "../../src/recipe/derivation.ts";
import type { Output } from "../../src/recipe/recipe.ts";
import { loadChannel } from "../../src/source/channel.ts";
import { projectRoot } from "./rig.ts";

const channel = await loadChannel(projectRoot, "debian");
const names = ({ nodes }: { readonly nodes: ReadonlyMap<unknown, Node> }): string[] =>
  [...nodes.values()].map(({ derivation }) => derivation.name);
const evaluated = (output: Output) => evaluate([output], { project: projectRoot, channel, pins: new Map() });
const fromClang = diverseDoubleCompilation[0]?.inputs[0];
assert.ok(fromClang !== undefined);
const [first, other] = [evaluated(stage3), evaluated(fromClang)];

const steps = (from: typeof first): StepDerivation[] =>
  [...from.nodes.values()].flatMap(({ derivation }) => (derivation.kind === "step" ? [derivation] : []));

test("nothing on the diverse way comes of the seed with GCC", () => {
  assert.ok(names(first).includes("seed-cc"));
  assert.ok(names(other).includes("seed-clang"));
  assert.ok(!names(other).includes("seed-cc"));
});

test("the seed with Clang holds no compiler of GCC", () => {
  const packages = (channel.seeds[seedClang.name] ?? []).map((each) => each.package);
  assert.ok(packages.includes("clang") && packages.includes("lld"));
  assert.deepEqual(
    packages.filter((name) => /^(?:g\+\+|gcc|cpp|gnat|gfortran)(?:-[0-9.]+)?(?:-x86-64-linux-gnu)?$/.test(name)),
    [],
  );
});

test("each step of the diverse way has the script, sources, files and places of the other way's", () => {
  const originals = new Map(steps(first).map((step) => [step.name, step]));
  for (const step of steps(other)) {
    const original = originals.get(step.name.replace(/-diverse$/, ""));
    assert.ok(original !== undefined, step.name);
    const facts = ({ script, sources, files, mounts, proves }: StepDerivation): object => ({
      ...{ script, sources, files, proves },
      places: mounts.map(({ at }) => at),
    });
    assert.deepEqual(facts(step), facts(original), step.name);
    const added = Object.keys(step.env).filter((name) => step.env[name] !== original.env[name]);
    if (!["anvil-cc", "binutils", "linux-headers"].includes(original.name)) assert.deepEqual(added, [], step.name);
  }
});
