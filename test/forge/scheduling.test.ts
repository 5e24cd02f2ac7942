import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, test } from "node:test";
import type { ForgeEvent } from "../../src/forge/events.ts";
import { cpio, type Recipe } from "../../src/recipe/recipe.ts";
import { holdHere, Rig, step } from "./rig.ts";

const rig = await Rig.make({ after });

/** Steps that print `held` and wait for \`rig.release\`. */
const held = (name: string, fields: Partial<Recipe> = {}): Recipe =>
  step(name, `${holdHere}; touch /out/${name}`, fields as object);
const quick = (name: string, inputs: readonly Recipe[] = []): Recipe => step(name, `touch /out/${name}`, { inputs });

const isHeld = (event: ForgeEvent): boolean => event.type === "output" && event.line === "held";

test("a failure stops what depends on it; what runs is finished, nothing else is begun", async () => {
  const bad = step("bad", "exit 1");
  const running = held("running");
  const targets = [bad, quick("on-bad", [bad]), running, quick("on-running", [running])];
  const run = await rig.forge(targets, {
    jobs: 2,
    on: (event) => {
      // both have been started; one fails while the other is held
      if (event.type === "failed") rig.release("running");
    },
  });
  assert.equal(run.ok, false);
  assert.deepEqual(run.names("failed"), ["bad"]);
  assert.deepEqual(run.names("skipped"), ["on-bad"]);
  assert.deepEqual(run.made, ["running"], "on-running is not begun");
  assert.equal(rig.store.has(rig.key(running)), true);
  const last = run.events.at(-1);
  assert.deepEqual(last?.type === "end" && [last.ok, last.built, last.failed], [false, 1, 1]);
});

test("with --keep-going everything that does not depend on the failure is made", async () => {
  const bad = step("bad2", "exit 1");
  const other = quick("other");
  const tail = quick("tail", [other]);
  const run = await rig.forge([quick("on-bad2", [bad]), quick("on-both", [bad, other]), tail], { jobs: 1, keepGoing: true });
  assert.equal(run.ok, false);
  assert.deepEqual(run.names("failed"), ["bad2"]);
  assert.deepEqual(run.names("skipped").sort(), ["on-bad2", "on-both"]);
  assert.deepEqual(run.made, ["other", "tail"]);
});

test("two failures are both told, with what each of them said", async () => {
  const [one, two] = [step("one", "echo first; exit 3"), step("two", "echo second >&2; kill -SEGV $$")];
  const run = await rig.forge([one, two], { keepGoing: true });
  const told = run.events.flatMap((event) => (event.type === "failed" ? [[event.fault.message, ...event.tail]] : []));
  assert.deepEqual(told.sort(), [
    ["one  ended with exit status 3", "first"],
    ["two  ended with exit status 139", "second"],
  ]);
});

test("with one job, what the longest way waits for goes first", async () => {
  const first = quick("long-1");
  const second = quick("long-2", [first]);
  const targets = [quick("short-a"), quick("short-b"), quick("long-3", [second])];
  const run = await rig.forge(targets, { jobs: 1 });
  assert.deepEqual(run.made, ["long-1", "long-2", "long-3", "short-a", "short-b"]);
});

test("seconds of an earlier run decide what is long", async () => {
  const targets = [quick("fast"), quick("middling"), quick("slow")];
  const expected = new Map([
    ["fast", 1],
    ["middling", 30],
    ["slow", 600],
  ]);
  const run = await rig.forge(targets, { jobs: 1, expected });
  assert.deepEqual(run.made, ["slow", "middling", "fast"]);
});

test("no more steps run than there are jobs, and those that wait say for what", async () => {
  const names = ["w1", "w2", "w3", "w4", "w5"];
  const running = new Set<string>();
  let most = 0;
  const run = await rig.forge(names.map((name) => held(name)), {
    jobs: 2,
    on: (event) => {
      if (!("key" in event)) return;
      if (isHeld(event)) running.add(event.key);
      most = Math.max(most, running.size);
      // two are held: let one of them go
      if (isHeld(event) && (running.size === 2 || run2Left(names, running))) {
        const [key] = running;
        running.delete(key as string);
        rig.release(nameOf(key as string));
      }
      if (event.type === "done") done++;
      if (event.type === "done" && done === names.length - 1) running.forEach((key) => rig.release(nameOf(key)));
    },
  });
  assert.equal(run.ok, true);
  assert.equal(most, 2);
  const waits = run.events.flatMap((event) => (event.type === "waiting" ? [[run.name(event.key), event.on, event.detail]] : []));
  assert.deepEqual(waits.sort(), ["w3", "w4", "w5"].map((name) => [name, "token", "all 2 jobs are busy"]));
});
