import assert from "node:assert/strict";
import { chmodSync, existsSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { seedBase } from "../../recipes/seed.ts";
import type { Output } from "../../src/recipe/recipe.ts";
import { plantPackages, Rig, step } from "./rig.ts";

const base = step("base", "echo base > /out/data");
const one = step("one", "cat /in/base/data > /out/one", { inputs: [base] });
const two = step("two", "cat /in/base/data > /out/two", { inputs: [base] });

/** Changes a file of an output behind the forge's back. */
function damage(rig: Rig, output: Output, file: string): void {
  const full = rig.output(output, file);
  chmodSync(full, 0o644);
  writeFileSync(full, "damaged");
}

const notices = (run: { events: readonly { type: string; text?: string }[] }): (string | undefined)[] =>
  run.events.flatMap((event) => (event.type === "notice" ? [event.text] : []));

test("a damaged output is found when it is used, and made again once for all who need it", async (t) => {
  const rig = await Rig.make(t);
  await rig.forge(base);
  const before = await rig.digest(base);
  damage(rig, base, "data");
  const run = await rig.forge([one, two]);
  assert.equal(run.ok, true);
  assert.deepEqual(notices(run), ["base in the store is damaged: making it again"]);
  assert.deepEqual(run.made.toSorted(), ["base", "one", "two"]);
  assert.equal(rig.read(one, "one"), "base\n");
  assert.equal(await rig.digest(base), before);
});

test("an output whose folder is gone is made again", async (t) => {
  const rig = await Rig.make(t);
  await rig.forge(base);
  const folder = rig.output(base);
  chmodSync(folder, 0o755);
  rmSync(folder, { recursive: true });
  const run = await rig.forge(one);
  assert.equal(run.ok, true);
  assert.deepEqual(run.made, ["base", "one"]);
});

test("what a damaged output is made from is looked at too", async (t) => {
  const rig = await Rig.make(t);
  await rig.forge(one);
  damage(rig, base, "data");
  damage(rig, one, "one");
  const run = await rig.forge(step("three", "cat /in/one/one > /out/three", { inputs: [one] }));
  assert.deepEqual(run.made, ["base", "one", "three"]);
});

test("a damaged output that nobody needs is left alone: nothing to do reads nothing", async (t) => {
  const rig = await Rig.make(t);
  await rig.forge([one, two]);
  damage(rig, base, "data");
  const run = await rig.forge([one, two]);
  assert.equal(run.ok, true);
  assert.deepEqual(run.made, []);
});

test("when a damaged output cannot be made again, what needs it is skipped", async (t) => {
  const rig = await Rig.make(t);
  const file = rig.projectFile("recipe-input", "first");
  const fragile = step("fragile", "cat /files/recipe-input > /out/data", { files: [file] });
  const evaluation = rig.evaluate(step("user", "cat /in/fragile/data > /out/a", { inputs: [fragile] }));
  await rig.forge(fragile);
  damage(rig, fragile, "data");
  // the recipe's file is no longer what the plan was made with
  rig.projectFile("recipe-input", "second");
  const run = await rig.realise(evaluation);
  assert.equal(run.ok, false);
  assert.equal(run.fault.code, "E_FILE_CHANGED");
  assert.deepEqual(run.names("failed"), ["fragile"]);
  assert.deepEqual(run.names("skipped"), ["user"]);
});

test("a project file that is edited after the plan was made is not built under the old key", async (t) => {
  const rig = await Rig.make(t);
  const file = rig.projectFile("system/config", "old");
  const configured = step("configured", "cp /files/system/config /out", { files: [file] });
  const evaluation = rig.evaluate(configured);
  rig.projectFile("system/config", "new");
  const run = await rig.realise(evaluation);
  assert.equal(run.fault.code, "E_FILE_CHANGED");
  assert.match(run.fault.message, /^system\/config was changed/);
  assert.deepEqual(
    rig.store.outputs.records().map(({ name }) => name),
    ["seed-base"],
  );
  assert.equal((await rig.forge(configured)).ok, true);
  assert.equal(rig.read(configured, "config"), "new");
});

test("a damaged seed is unpacked again from its packages", { timeout: 600_000 }, async (t) => {
  const rig = await Rig.make(t, { ownSeed: true });
  plantPackages(rig.store, rig.channel);
  const digest = await rig.digest(seedBase);
  const bash = path.join(rig.seedTree, "usr/bin/bash");
  // replaced, not written: it may be a link to the file in the user's own store
  chmodSync(path.dirname(bash), 0o755);
  rmSync(bash);
  writeFileSync(bash, "not a shell", { mode: 0o755 });
  const run = await rig.forge(base);
  assert.equal(run.ok, true);
  assert.deepEqual(notices(run), ["seed-base in the store is damaged: making it again"]);
  assert.equal(await rig.digest(seedBase), digest, "bit by bit what it was");
  assert.ok(existsSync(rig.output(base, "data")));
});

test("two forges that find the same damage mend it once", async (t) => {
  const rig = await Rig.make(t);
  await rig.forge(base);
  damage(rig, base, "data");
  const forges = [rig.spawn(one), rig.spawn(two)];
  const ends = await Promise.all(forges.map(({ ended }) => ended));
  for (const end of ends) assert.deepEqual(end, { status: 0, stderr: "" });
  assert.deepEqual(forges.flatMap(({ made }) => made).sort(), ["base", "one", "two"]);
  for (const each of [base, one, two]) assert.equal(await rig.store.outputs.isSound(rig.key(each)), true);
});
