/** Crates that a source's own lock file names: what is planned before it can be read, and after. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { Fault } from "../../src/fault/fault.ts";
import { evaluate, type Evaluation } from "../../src/forge/evaluate.ts";
import { missing } from "../../src/forge/forge.ts";
import { outputReader, wholePlan } from "../../src/forge/plan.ts";
import type { StepDerivation } from "../../src/recipe/derivation.ts";
import { cratesOf, type Recipe } from "../../src/recipe/recipe.ts";
import { projectRoot, Rig, step } from "./rig.ts";

// 206 packages, as cargo wrote them: two versions of some, and one of a repository
const LOCK = readFileSync(path.join(projectRoot, "test/crates/monitor/Cargo.lock"), "utf8");

interface Planned {
  readonly rig: Rig;
  readonly source: Recipe;
  readonly program: Recipe;
  readonly now: () => Evaluation;
}

async function planned(t: { after(act: () => void): void }, lock: string, file = "Cargo.lock"): Promise<Planned> {
  const rig = await Rig.make(t);
  const from = rig.projectFile("source/Cargo.lock", lock);
  const source = step("source", `mkdir -p /out/usr/src; cp /files/${from} /out/usr/src`, { files: [from] });
  const program = step("program", "ls /src/crates > /out/crates", {
    crates: [cratesOf(source, `usr/src/${file}`)],
    inputs: [source],
  });
  const options = { project: rig.project, channel: rig.channel, pins: new Map(), readOutput: outputReader(rig.store) };
  return { rig, source, program, now: () => evaluate([program], options) };
}

const cratesIn = ({ nodes }: Evaluation): string[] =>
  [...nodes.values()].flatMap(({ derivation }) =>
    derivation.kind === "fetch" && derivation.crate !== undefined
      ? [`${derivation.crate} ${derivation.version} ${derivation.sha256 ?? ""}`]
      : [],
  );

test("before the source is there its lock file is what the plan waits for", async (t) => {
  const { rig, source, now } = await planned(t, LOCK);
  const plan = now();
  assert.deepEqual(plan.pending, [rig.key(source)]);
  assert.deepEqual(cratesIn(plan), []);
  assert.deepEqual(
    missing(plan, rig.store).map(({ derivation }) => derivation.name),
    ["source", "program"],
  );
});

test("once it is there, every crate of a registry is fetched under the checksum of the lock file", async (t) => {
  const { rig, program, now } = await planned(t, LOCK);
  const made: string[][] = [];
  const plan = await wholePlan(now(), now, async (part) => {
    made.push(part.targets.map((key) => part.nodes.get(key)?.derivation.name ?? ""));
    return (await rig.realise(part)).ok;
  });
  assert.ok(plan !== undefined);
  assert.deepEqual(made, [["source"]]);
  assert.deepEqual(plan.pending, []);
  const registry = LOCK.split("[[package]]").filter((block) => /^checksum = /m.test(block));
  assert.ok(registry.length > 180);
  const expected = registry.map((block) =>
    ["name", "version", "checksum"].map((name) => new RegExp(`^${name} = "(.*)"$`, "m").exec(block)?.[1]).join(" "),
  );
  assert.deepEqual(cratesIn(plan).sort(), expected.sort());
  assert.ok(
    expected.some((each) => each.startsWith("bindgen 0.69.5 ")) && expected.some((each) => /^bindgen 0\.7/.test(each)),
  );

  // the step sees them all, and another checksum is another step
  const { sources } = plan.nodes.get(plan.targets[0] ?? ("" as never))?.derivation as StepDerivation;
  assert.equal(sources.length, expected.length);
  assert.notEqual(plan.targets[0], rig.key(program));
  assert.deepEqual(now().targets, plan.targets);
});

test("a plan is not made whole when the source cannot be made", async (t) => {
  const { now } = await planned(t, LOCK);
  assert.equal(await wholePlan(now(), now, () => Promise.resolve(false)), undefined);
});

test("a source without the lock file, and one whose lock file cannot be right, are refused", async (t) => {
  const cases: [string, string, RegExp][] = [
    [LOCK, "elsewhere/Cargo.lock", /^source has no usr\/src\/elsewhere\/Cargo.lock: ENOENT/],
    [LOCK.replace(/^version = \d$/m, "version = 9"), "Cargo.lock", /^usr\/src\/Cargo.lock of source is of version 9, /],
    [LOCK.replace(/checksum = "d/, 'checksum = "D'), "Cargo.lock", / has no checksum of \S+ \d/],
    [LOCK.replace('name = "aead"', 'name = "../aead"'), "Cargo.lock", / names a package "\.\.\/aead" /],
    [LOCK.replace("registry+", "registry+https://registry.invalid/"), "Cargo.lock", / names several registries: /],
  ];
  for (const [lock, file, message] of cases) {
    const { rig, source, now } = await planned(t, lock, file);
    assert.equal((await rig.forge(source)).ok, true);
    assert.throws(
      now,
      (error) => error instanceof Fault && error.code === "E_CARGO_LOCK" && message.test(error.message),
    );
  }
});
