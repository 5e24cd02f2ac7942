import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "../../src/fault/fault.ts";
import type { ForgeEvent } from "../../src/forge/events.ts";
import { criticalPath } from "../../src/ui/critical-path.ts";
import { renderReport } from "../../src/ui/report.ts";
import { Run } from "../../src/ui/run.ts";
import { at, done, key, node, notice, phase, plan, progress, skipped, start } from "./events.ts";

const NODES = [
  node("seed build", [], { present: true, version: "" }),
  node("fetch gcc", [], { version: "14.2.0" }),
  node("fetch linux", [], { version: "6.12.95" }),
  node("anvil-cc", ["seed build", "fetch gcc"], { version: "14.2.0" }),
  node("linux", ["anvil-cc", "fetch linux"], { version: "6.12.95" }),
  node("iso", ["linux"], { version: "" }),
];

const proof = (t: number, id: string, text: string, ok = true, detail = ""): ForgeEvent =>
  at(t, { type: "proof", key: key(id), proof: text, ok, detail });

const GOOD: readonly ForgeEvent[] = [
  plan(NODES),
  start(0, "fetch gcc"),
  start(0, "fetch linux"),
  progress(1_000, "fetch linux", 1, 2),
  done(4_000, "fetch gcc", 4),
  start(5_000, "anvil-cc", "/log/anvil-cc"),
  phase(5_000, "anvil-cc", "unpack"),
  phase(15_000, "anvil-cc", "build"),
  done(30_000, "fetch linux", 30),
  phase(600_000, "anvil-cc", "prove"),
  proof(601_000, "anvil-cc", "runs: usr/bin/cc --version =~ /ANVIL-CC/", true, "ANVIL-CC 14.2.0"),
  done(605_000, "anvil-cc", 600, 1_080, 151_304_520),
  start(605_000, "linux"),
  phase(605_000, "linux", "build"),
  proof(900_000, "linux", "has boot/bzImage"),
  done(905_000, "linux", 300, 570, 6_010_000),
  start(906_000, "iso"),
  done(907_000, "iso", 1),
  at(907_000, { type: "end", ok: true, built: 5, reused: 1, failed: 0 }),
];

const HOSTILE = `<script>alert("1")</script>'&\u0000\u001b[31m\ud800`;
const FAILED: readonly ForgeEvent[] = [
  at(0, {
    type: "plan",
    channel: HOSTILE,
    why: HOSTILE,
    jobs: 2,
    nodes: [node("a", [], { name: HOSTILE, version: HOSTILE }), node("b", ["a"], { name: HOSTILE }), node("c")],
  }),
  notice(0, HOSTILE),
  start(0, "a", HOSTILE),
  at(1, { type: "retry", key: key("a"), url: HOSTILE, why: HOSTILE }),
  phase(2, "a", HOSTILE),
  proof(3, "a", HOSTILE, false, HOSTILE),
  at(4, {
    type: "failed",
    key: key("a"),
    fault: new Fault("E_STEP", HOSTILE, {
      details: [HOSTILE],
      hint: HOSTILE,
      log: HOSTILE,
    }),
    tail: [HOSTILE, "second line"],
  }),
  skipped(5, "b", "a"),
  at(6, { type: "end", ok: false, built: 0, reused: 0, failed: 1 }),
];

const VOID = new Set(["meta"]);

/** Checks that every element is closed in its turn and that text and attributes hold no raw markup; returns the elements' names. */
function elementsOf(page: string): string[] {
  assert.ok(page.startsWith("<!doctype html>"), page.slice(0, 40));
  const body = page.slice("<!doctype html>".length).replace(/<style>[^<]*<\/style>/, "<style></style>");
  const token = /<(\/?)([a-z][a-z0-9]*)((?: [a-z-]+="[^"<>]*")*) ?(\/?)>|([^<>]+)/gy;
  const open: string[] = [];
  const names: string[] = [];
  while (token.lastIndex < body.length) {
    const from = token.lastIndex;
    const match = token.exec(body);
    assert.ok(match !== null, `not HTML: ${body.slice(from, from + 80)}`);
    const [, closing, name, , selfClosing, text] = match;
    if (text !== undefined) assert.doesNotMatch(text, /&(?!amp;|lt;|gt;|quot;|#39;)/);
    else if (closing === "/") assert.equal(open.pop(), name, `at ${body.slice(from, from + 60)}`);
    else {
      names.push(name ?? "");
      assert.equal(selfClosing === "/", VOID.has(name ?? ""), name);
      if (selfClosing !== "/") open.push(name ?? "");
    }
  }
  assert.deepEqual(open, []);
  return names;
}

/** The text of the element with this id, with single spaces. */
function sectionText(page: string, id: string): string {
  const section = new RegExp(`<section id="${id}">(.*?)</section>`, "s").exec(page)?.[1];
  assert.ok(section !== undefined, `no section ${id}`);
  return section
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ")
    .trim();
}

test("the page is well-formed and holds no script and nothing from elsewhere", () => {
  for (const events of [GOOD, FAILED, GOOD.slice(0, 9), []]) {
    const page = renderReport(events);
    const names = elementsOf(page);
    for (const name of ["script", "link", "img", "iframe", "object"]) assert.ok(!names.includes(name), name);
    assert.doesNotMatch(page, /https?:|url\(|@import|\son[a-z]+=/);
  }
});

test("whatever events hold is escaped", () => {
  const page = renderReport(FAILED);
  elementsOf(page);
  assert.doesNotMatch(page, /<script/);
  assert.match(page, /&lt;script&gt;alert\(&quot;1&quot;\)/);
  assert.match(page, /^[^\p{Cs}]*$/u);
  assert.doesNotMatch(page, /[^\P{Cc}\n]/u);
});

test("the critical path goes back through what each node waited for last", () => {
  const run = new Run();
  for (const event of GOOD) run.apply(event);
  assert.deepEqual(
    criticalPath(run).map(({ run: { node: on }, waited }) => [on.name, waited]),
    [
      ["gcc", 0],
      ["anvil-cc", 1_000],
      ["linux", 0],
      ["iso", 1_000],
    ],
  );
  assert.match(
    sectionText(renderReport(GOOD), "critical-path"),
    /fetch gcc 14\.2\.0 0\.0s 4\.0s anvil-cc 14\.2\.0 1\.0s 10m 00s linux 6\.12\.95 0\.0s 5m 00s iso 1\.0s 1\.0s$/,
  );
});

test("durations are listed slowest first with processor time, cores, size and phases", () => {
  assert.match(
    sectionText(renderReport(GOOD), "durations"),
    /Phases anvil-cc 14\.2\.0 done 5\.0s 10m 00s 18m 00s 1\.8 151 MB unpack 10s, build 9m 45s, prove 5\.0s linux 6\.12\.95 done 10m 05s 5m 00s 9m 30s 1\.9 6\.01 MB build 5m 00s fetch linux/,
  );
});

test("the timeline places every node that ran", () => {
  const page = renderReport(GOOD);
  assert.match(page, /title="anvil-cc 14\.2\.0: 10m 00s from 5\.0s"/);
  assert.match(page, /class="bar critical" style="left:0\.551%;width:66\.152%"/);
  assert.equal(page.match(/class="row" title=/g)?.length, 5);
  assert.match(sectionText(page, "timeline"), /0 2m 4m 6m 8m 10m 12m 14m/);
});

test("proofs are listed, and those that do not hold are open", () => {
  assert.match(
    sectionText(renderReport(GOOD), "proofs"),
    /^Proofs 2 of 2 hold\. anvil-cc 1 proof Result Proof Found holds runs: .* ANVIL-CC 14\.2\.0 linux/,
  );
  assert.doesNotMatch(renderReport(GOOD), /open="open"/);
  assert.match(renderReport(FAILED), /<details open="open">/);
  assert.match(sectionText(renderReport(FAILED), "proofs"), /0 of 1 hold\..*does not hold/);
});

test("failures come with their fault, their log and what was not tried", () => {
  const text = sectionText(renderReport(FAILED), "failures");
  assert.match(
    text,
    /^1 failure .* E_STEP .* last 2 lines of the log: .* \| second line enter the sandbox: anvil shell/,
  );
  assert.match(text, /Not tried because of that: /);
});

test("a run that was stopped still has a report", () => {
  const page = renderReport(GOOD.slice(0, 10));
  assert.match(page, /stopped after 10m 00s: 2 of 5 made, in the middle of anvil-cc/);
  assert.match(sectionText(page, "others"), /Reused from the store 1 seed build Not reached 2 linux 6\.12\.95, iso/);
});
