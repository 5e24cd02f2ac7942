import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "../../src/fault/fault.ts";
import type { ForgeEvent } from "../../src/forge/events.ts";
import {
  emptyProfile,
  mergeProfiles,
  parseProfile,
  profileOf,
  remaining,
  serialiseProfile,
  type Profile,
} from "../../src/ui/profile.ts";
import { Run } from "../../src/ui/run.ts";
import { at, done, key, node, plan, progress, skipped, start } from "./events.ts";

function runOf(...events: readonly ForgeEvent[]): Run {
  const run = new Run();
  for (const event of events) run.apply(event);
  return run;
}

const steps = (measures: Record<string, number>): Profile =>
  new Map(Object.entries(measures).map(([name, seconds]) => [name, { seconds, cpu: seconds }]));

test("a profile holds what this run made, by name, downloads apart from steps", () => {
  const nodes = [node("seed s", [], { present: true }), node("fetch a"), node("a", ["fetch a"]), node("b"), node("c")];
  const run = runOf(
    plan(nodes),
    start(0, "fetch a"),
    done(1, "fetch a", 3),
    start(1, "a"),
    done(2, "a", 10, 18.5),
    done(3, "b", 0),
    start(3, "c"),
    at(4, {
      type: "failed",
      key: key("c"),
      fault: new Fault("E_STEP", "no"),
      tail: [],
    }),
  );
  assert.deepEqual(
    profileOf(run),
    new Map([
      ["fetch a", { seconds: 3, cpu: undefined }],
      ["a", { seconds: 10, cpu: 18.5 }],
    ]),
  );
});

test("merging takes the newer measure and keeps what was not made again", () => {
  assert.deepEqual(mergeProfiles(steps({ a: 1, b: 2 }), steps({ b: 3, c: 4 })), steps({ a: 1, b: 3, c: 4 }));
});

test("a profile survives being written and read, and equal ones are equal text", () => {
  const profile: Profile = new Map([
    ["b", { seconds: 1.25, cpu: undefined }],
    ["a", { seconds: 2, cpu: 3 }],
    ["__proto__", { seconds: 4, cpu: undefined }],
  ]);
  assert.deepEqual(parseProfile(serialiseProfile(profile)), new Map([...profile].sort()));
  assert.equal(serialiseProfile(new Map([...profile].reverse())), serialiseProfile(profile));
});

test("a damaged profile counts as an empty one, a damaged entry as absent", () => {
  for (const text of ["", "{", "null", "[]", '{"format":2,"measures":{}}', '{"format":1,"measures":[]}']) {
    assert.deepEqual(parseProfile(text), emptyProfile);
  }
  const text = '{"format":1,"measures":{"a":{"seconds":1},"b":{"seconds":-1},"c":{"seconds":"1"},"d":null}}';
  assert.deepEqual([...parseProfile(text).keys()], ["a"]);
});

test("what is left is the longest chain when that is what holds things up", () => {
  const run = runOf(plan([node("a"), node("b", ["a"]), node("c", ["b"]), node("d")], 8));
  assert.deepEqual(remaining(run, steps({ a: 10, b: 20, c: 30, d: 5 }), 0), {
    seconds: 60,
    unknown: 0,
  });
});

test("what is left is all processor time over the jobs when there is much beside each other", () => {
  const run = runOf(plan([node("a"), node("b"), node("c"), node("d")], 2));
  assert.deepEqual(remaining(run, steps({ a: 10, b: 10, c: 10, d: 10 }), 0), {
    seconds: 20,
    unknown: 0,
  });
});

test("what has run already is taken off, and a step over its time counts as nearly done", () => {
  const run = runOf(plan([node("a"), node("b")], 1), start(1_000, "a"));
  const profile = steps({ a: 10, b: 7 });
  assert.equal(remaining(run, profile, 5_000)?.seconds, 13);
  assert.equal(remaining(run, profile, 60_000)?.seconds, 7);
});

test("downloads take no processor, and a running one is judged by its speed", () => {
  const run = runOf(
    plan([node("fetch a"), node("fetch b")], 1),
    start(0, "fetch a"),
    progress(0, "fetch a", 0, 10_000),
    progress(1_000, "fetch a", 1_000, 10_000),
  );
  const profile: Profile = new Map([
    ["fetch a", { seconds: 500, cpu: undefined }],
    ["fetch b", { seconds: 8, cpu: undefined }],
  ]);
  assert.equal(remaining(run, profile, 1_000)?.seconds, 9);
});

test("what no profile knows is counted, not guessed", () => {
  const run = runOf(plan([node("a"), node("b"), node("c", [], { present: true })], 1));
  assert.deepEqual(remaining(run, steps({ a: 10 }), 0), {
    seconds: 10,
    unknown: 1,
  });
  assert.equal(remaining(new Run(), emptyProfile, 0), undefined);
});

test("what will not be tried is not waited for", () => {
  const run = runOf(
    plan([node("a"), node("b", ["a"]), node("c", ["b"]), node("d")], 1),
    at(1, {
      type: "failed",
      key: key("a"),
      fault: new Fault("E_STEP", "no"),
      tail: [],
    }),
    skipped(1, "b", "a"),
  );
  assert.deepEqual(remaining(run, steps({ a: 10, b: 10, c: 10, d: 4 }), 1), {
    seconds: 4,
    unknown: 0,
  });
});
