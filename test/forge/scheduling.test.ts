import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, test } from "node:test";
import type { ForgeEvent } from "../../src/forge/events.ts";
import { cpio, type Recipe } from "../../src/recipe/recipe.ts";
import { holdHere, Rig, step } from "./rig.ts";

const rig = await Rig.make({ after });

/** Steps that print `held` and wait for `rig.release`. */
const held = (name: string): Recipe => step(name, `${holdHere}; touch /out/${name}`);
const quick = (name: string, inputs: readonly Recipe[] = []): Recipe => step(name, `touch /out/${name}`, { inputs });

const isHeld = (event: ForgeEvent): boolean => event.type === "output" && event.line === "held";

test("a failure stops what depends on it; what runs is finished, nothing else is begun", async () => {
  const bad = step("bad", "exit 1");
  const running = held("running");
  const targets = [bad, quick("on-bad", [bad]), running, quick("on-running", [running])];
  let seen = 0;
  const run = await rig.forge(targets, {
    jobs: 2,
    on: (event) => {
      if ((event.type === "failed" || isHeld(event)) && ++seen === 2) rig.release("running");
    },
  });
  assert.equal(run.ok, false);
  assert.deepEqual(run.names("failed"), ["bad"]);
  assert.deepEqual(run.names("skipped"), ["on-bad"]);
  assert.deepEqual(run.made, ["running"], "on-running is not begun");
  assert.equal(rig.store.outputs.has(rig.key(running)), true);
  const last = run.events.at(-1);
  assert.deepEqual(last?.type === "end" && [last.ok, last.built, last.failed], [false, 1, 1]);
});

test("with --keep-going everything that does not depend on the failure is made", async () => {
  const bad = step("bad2", "exit 1");
  const other = quick("other");
  const tail = quick("tail", [other]);
  const run = await rig.forge([quick("on-bad2", [bad]), quick("on-both", [bad, other]), tail], {
    jobs: 1,
    keepGoing: true,
  });
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
  assert.deepEqual(run.made.slice(0, 2), ["long-1", "long-2"]);
  assert.equal(run.made.length, 5);
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
  const steps = ["w1", "w2", "w3", "w4", "w5"].map((name) => held(name));
  const names = new Map<string, string>(steps.map((each) => [rig.key(each), each.name]));
  const running: string[] = [];
  let released = 0;
  let most = 0;
  const run = await rig.forge(steps, {
    jobs: 2,
    on: (event) => {
      if (!isHeld(event) || !("key" in event)) return;
      running.push(names.get(event.key) as string);
      most = Math.max(most, running.length);
      // lets one go whenever as many run as can
      while (running.length > 0 && running.length === Math.min(2, steps.length - released)) {
        released++;
        rig.release(running.shift() as string);
      }
    },
  });
  assert.equal(run.ok, true);
  assert.equal(most, 2);
  const waits = run.events.flatMap((event) =>
    event.type === "waiting" ? [[run.name(event.key), event.on, event.detail]] : [],
  );
  assert.deepEqual(
    waits.sort(),
    ["w3", "w4", "w5"].map((name) => [name, "token", "all 2 jobs are busy"]),
  );
});

test("the first event is the plan, the last one the end, and each node has its own in order", async () => {
  const input = quick("input");
  const archive = cpio("archive", step("tree", "mkdir /out/d; cp /in/input/input /out/d", { inputs: [input] }));
  const run = await rig.forge(archive);
  const [plan] = run.events;
  assert.ok(plan?.type === "plan");
  assert.deepEqual(
    plan.nodes.filter(({ present }) => !present).map(({ name, kind }) => [name, kind]),
    [
      ["input", "step"],
      ["tree", "step"],
      ["archive", "cpio"],
    ],
  );
  assert.equal(run.events.at(-1)?.type, "end");
  const ofTree = run.events.flatMap((event) =>
    "key" in event && run.name(event.key) === "tree" ? [event.type === "phase" ? event.phase : event.type] : [],
  );
  assert.deepEqual(ofTree, ["start", "build", "prove", "proof", "store", "done"]);
  assert.deepEqual(run.made, ["input", "tree", "archive"]);
  assert.deepEqual(readdirSync(rig.output(archive)), ["archive.cpio"]);
  const times = run.events.map(({ t }) => t);
  assert.deepEqual(
    [...times].sort((a, b) => a - b),
    times,
  );
});

test("an interrupt ends what runs, begins nothing, and is no failure", async () => {
  const interrupt = new AbortController();
  const first = held("interrupted");
  const run = await rig.forge([first, quick("never", [first])], {
    signal: interrupt.signal,
    on: (event) => {
      if (isHeld(event)) interrupt.abort();
    },
  });
  assert.equal(run.ok, false);
  assert.equal(run.outcome.failed.size, 0);
  assert.deepEqual(run.made, []);
  assert.deepEqual([...run.names("failed"), ...run.names("skipped")], []);
  assert.deepEqual(readdirSync(rig.store.paths.tmp), []);
  assert.deepEqual(readdirSync(rig.store.paths.locks), []);
});

test("a process that is told to end leaves no work, no lock and no stack trace behind", async () => {
  const forge = rig.spawn(held("terminated"));
  await forge.line("terminated", "held");
  forge.kill("SIGTERM");
  assert.deepEqual(await forge.ended, { status: 1, stderr: "" });
  assert.deepEqual(readdirSync(rig.store.paths.tmp), []);
  assert.deepEqual(readdirSync(rig.store.paths.locks), []);
});
