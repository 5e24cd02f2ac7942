import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Fault } from "../../src/fault/fault.ts";
import type { ForgeEvent } from "../../src/forge/events.ts";
import { EVENT_FIELDS, jsonView, NODE_FIELDS, parseEvents, serialiseEvent } from "../../src/ui/json.ts";
import { at, done, key, node, notice, output, phase, plan, progress, skipped, start } from "./events.ts";

const ALL: readonly ForgeEvent[] = [
  plan([node("fetch a", [], { present: true }), node("a", ["fetch a"])]),
  notice(1, "a notice"),
  at(2, { type: "waiting", key: key("a"), on: "lock", detail: "process 1" }),
  start(3, "a", "/log/a"),
  start(3, "fetch a"),
  progress(4, "fetch a", 10, 20),
  progress(4.25, "fetch a", 10),
  at(5, {
    type: "retry",
    key: key("fetch a"),
    url: "http://a.example/",
    why: "404",
  }),
  phase(6, "a", "build"),
  output(7, "a", 'quotes " and \u2028 lines'),
  at(8, {
    type: "proof",
    key: key("a"),
    proof: "has x",
    ok: false,
    detail: "no",
  }),
  done(9, "a", 1.5, 2.5, 1000),
  done(9, "a", 1.5),
  at(10, {
    type: "failed",
    key: key("a"),
    fault: new Fault("E_STEP", "no", {
      details: ["d"],
      hint: "h",
      log: "/l",
      cause: new Error("secret"),
    }),
    tail: ["t"],
  }),
  skipped(11, "a", "fetch a"),
  at(12, { type: "end", ok: false, built: 1, reused: 2, failed: 3 }),
];

test("each event is one line with its keys in a fixed order", () => {
  let text = "";
  const view = jsonView((piece) => {
    text += piece;
  });
  for (const event of ALL) view(event);
  view.close();
  const lines = text.split("\n");
  assert.equal(lines.length, ALL.length + 1);
  assert.equal(
    lines[0],
    '{"t":0,"type":"plan","channel":"debian","why":"it was asked for","jobs":2,"nodes":[' +
      '{"key":"fetch a","name":"a","version":"1.0","kind":"fetch","needs":[],"present":true},' +
      '{"key":"a","name":"a","version":"1.0","kind":"step","needs":["fetch a"],"present":false}]}',
  );
  assert.equal(lines[4], '{"t":3,"type":"start","key":"fetch a","log":null}');
  assert.equal(
    lines[13],
    '{"t":10,"type":"failed","key":"a","fault":{"code":"E_STEP","message":"no","details":["d"],"hint":"h","log":"/l"},"tail":["t"]}',
  );
  assert.equal(lines[15], '{"t":12,"type":"end","ok":false,"built":1,"reused":2,"failed":3}');
});

test("the order in which an event was put together does not matter", () => {
  const event: ForgeEvent = {
    total: 5,
    bytes: 3,
    key: key("a"),
    t: 1,
    type: "progress",
  };
  assert.equal(serialiseEvent(event), '{"t":1,"type":"progress","key":"a","bytes":3,"total":5}');
});

test("times have at most three decimals", () => {
  assert.match(serialiseEvent(done(1234.56789, "a", 1.23456789)), /^\{"t":1234\.568,.*"seconds":1\.235,/);
});

test("what was written can be read back", () => {
  const text = ALL.map((event) => `${serialiseEvent(event)}\n`).join("");
  const read = parseEvents(text);
  assert.equal(read.map((event) => `${serialiseEvent(event)}\n`).join(""), text);
  assert.deepEqual(read[5], ALL[5]);
  const failed = read[13];
  assert.ok(failed?.type === "failed" && failed.fault instanceof Fault);
});

test("a last line that was cut off is left out", () => {
  const text = `${serialiseEvent(notice(1, "whole"))}\n{"t":2,"type":"not`;
  assert.equal(parseEvents(text).length, 1);
});

test("a line that is not an event is a fault with its number", () => {
  for (const bad of [
    "nonsense",
    "[]",
    "null",
    '{"t":1,"type":"unheard-of"}',
    '{"t":1,"type":"constructor"}',
    '{"type":"notice","text":"no time"}',
    '{"t":1,"type":"notice","text":5}',
    '{"t":1,"type":"failed","key":"a","fault":{"code":"oops","message":"m"},"tail":[]}',
    '{"t":1,"type":"plan","channel":"c","why":"w","jobs":1,"nodes":[{"key":"a"}]}',
  ]) {
    assert.throws(
      () => parseEvents(`${serialiseEvent(notice(1, "good"))}\n${bad}\n`),
      (error) => error instanceof Fault && error.code === "E_EVENTS_FORMAT" && error.message.includes("line 2"),
      bad,
    );
  }
});

test("docs/events.md describes every event and every field", () => {
  const docs = readFileSync("docs/events.md", "utf8");
  const sections = new Map(
    docs.split(/^## /m).map((section): [string, string] => [/^`?([a-z]+)/.exec(section)?.[1] ?? "", section]),
  );
  const expect = (section: string, fields: object): void => {
    const text = sections.get(section);
    assert.ok(text !== undefined, `no section on ${section}`);
    const described = [...text.matchAll(/^\| `(\w+)` \|/gm)].map(([, field]) => field);
    assert.deepEqual(described, Object.keys(fields), section);
  };
  for (const [type, fields] of Object.entries(EVENT_FIELDS)) expect(type, fields);
  expect("nodes", NODE_FIELDS);
});
