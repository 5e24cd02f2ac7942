import assert from "node:assert/strict";
import { existsSync, readdirSync, utimesSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { findGarbage, findLeastRecent, removeAll } from "../../src/store/garbage.ts";
import { holdHere, Rig, step } from "./rig.ts";

const early = step("early", "echo 1 > /out/file");
const gate = step("gate", `${holdHere}; cp /in/early/file /out/file`, { inputs: [early] });
const late = step("late", "cat /in/early/file /in/gate/file > /out/file", { inputs: [early, gate] });

test("no clean-up removes what a running forge uses or is going to use", async (t) => {
  const rig = await Rig.make(t);
  const forge = rig.spawn(late);
  await forge.line("gate", "held");
  const garbage = [
    ...(await findLeastRecent(rig.store, 0)),
    ...(await findGarbage(rig.store, { keys: new Set(), sources: new Set() })),
  ];
  assert.deepEqual(await removeAll(garbage), []);
  rig.release("gate");
  assert.deepEqual(await forge.ended, { status: 0, stderr: "" });
  assert.equal(rig.read(late, "file"), "1\n1\n");
  assert.deepEqual(forge.made, ["early", "gate", "late"]);
  assert.deepEqual(readdirSync(rig.store.paths.uses), []);
});

test("what a killed forge used is free again", async (t) => {
  const rig = await Rig.make(t);
  const forge = rig.spawn(late);
  await forge.line("gate", "held");
  forge.kill();
  await forge.ended;
  const removed = await removeAll(await findLeastRecent(rig.store, 0));
  assert.ok(removed.some(({ name }) => name === "early"));
  assert.deepEqual(readdirSync(rig.store.paths.uses), []);
});

test("a forge that finds all there has used it", async (t) => {
  const rig = await Rig.make(t);
  const other = step("other", "echo 2 > /out/file");
  await rig.forge([early, other]);
  const record = (name: string): string => path.join(rig.store.paths.outputs, name);
  for (const name of readdirSync(rig.store.paths.outputs).filter((each) => each.endsWith(".json")))
    utimesSync(record(name), 60, 60);
  assert.deepEqual((await rig.forge(early)).made, []);
  const { bytes } = rig.store.outputs.records().find(({ name }) => name === "other") ?? { bytes: 0 };
  const all = rig.store.outputs.records().reduce((sum, each) => sum + each.bytes, 0);
  await removeAll(await findLeastRecent(rig.store, all - bytes));
  assert.deepEqual(
    [early, other].map((each) => existsSync(record(`${rig.key(each)}.json`))),
    [true, false],
  );
});
