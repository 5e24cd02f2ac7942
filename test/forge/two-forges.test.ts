import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import type { Recipe } from "../../src/recipe/recipe.ts";
import { holdHere, Rig, step, type ForgeProcess } from "./rig.ts";

/** A step that waits to be let go, and what is made of it. */
const gate = step("gate", `${holdHere}; echo open > /out/gate`);
const chain = (name: string): Recipe[] => {
  const steps = [step(`${name}-1`, "cp /in/gate/gate /out/a", { inputs: [gate] })];
  for (let i = 2; i <= 4; i++) {
    const before = steps.at(-1) as Recipe;
    steps.push(step(`${name}-${i}`, `cat /in/${before.name}/a /in/gate/gate > /out/a`, { inputs: [before, gate] }));
  }
  return steps;
};
const graph = [gate, ...chain("left"), ...chain("right")];

const waitsForLock = (forge: ForgeProcess): Promise<void> =>
  forge.event((event) => event.type === "waiting" && event.on === "lock");

test("two forges at once share the work: each output is made once over both", async (t) => {
  const rig = await Rig.make(t);
  const first = rig.spawn(graph);
  await first.line("gate", "held");
  const second = rig.spawn(graph);
  await waitsForLock(second);
  rig.release("gate");
  const ends = await Promise.all([first.ended, second.ended]);
  for (const end of ends) assert.deepEqual(end, { status: 0, stderr: "" });
  assert.deepEqual([...first.made, ...second.made].sort(), graph.map(({ name }) => name).sort());
  for (const each of graph) assert.equal(await rig.store.outputs.isSound(rig.key(each)), true);
  assert.deepEqual(readdirSync(rig.store.paths.tmp), []);
  assert.deepEqual(readdirSync(rig.store.paths.locks), []);
});

test("a forge does not hold back another one from what it cannot begin itself", async (t) => {
  const rig = await Rig.make(t);
  const steps = ["p", "q"].map((name) => step(name, `${holdHere}; touch /out/${name}`));
  // one job: it begins one of the two, and the other is free
  const first = rig.spawn(steps, { jobs: 1 });
  await first.event((event) => event.type === "output");
  const second = rig.spawn(steps, { jobs: 1 });
  await second.event((event) => event.type === "output");
  for (const { name } of steps) rig.release(name);
  assert.deepEqual(
    (await Promise.all([first.ended, second.ended])).map(({ status }) => status),
    [0, 0],
  );
  assert.equal(first.made.length, 1);
  assert.equal(second.made.length, 1);
});

test("when the forge that works is killed, the one that waits takes over", async (t) => {
  const rig = await Rig.make(t);
  const first = rig.spawn(gate);
  await first.line("gate", "held");
  const second = rig.spawn(graph);
  await waitsForLock(second);
  first.kill();
  await first.ended;
  await second.line("gate", "held");
  rig.release("gate", `${second.child.pid}.`);
  assert.deepEqual(await second.ended, { status: 0, stderr: "" });
  assert.deepEqual(second.made.sort(), graph.map(({ name }) => name).sort());
});

test("when the forge that works fails, the one that waits tries it, too, and says what is wrong", async (t) => {
  const rig = await Rig.make(t);
  const bad = step("bad", `${holdHere}; exit 1`);
  const first = rig.spawn(bad);
  await first.line("bad", "held");
  const second = rig.spawn(bad);
  await waitsForLock(second);
  rig.release("bad");
  assert.equal((await first.ended).status, 1);
  await second.line("bad", "held");
  rig.release("bad", `${second.child.pid}.`);
  assert.equal((await second.ended).status, 1);
  assert.ok(second.events.some((event) => event.type === "failed" && event.fault.code === "E_STEP_FAILED"));
});

test("a forge that is interrupted while it waits for another ends", async (t) => {
  const rig = await Rig.make(t);
  const first = rig.spawn(gate);
  await first.line("gate", "held");
  const second = rig.spawn(gate);
  await waitsForLock(second);
  second.kill("SIGTERM");
  assert.deepEqual(await second.ended, { status: 1, stderr: "" });
  rig.release("gate");
  assert.equal((await first.ended).status, 0);
});
