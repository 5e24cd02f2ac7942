import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "../../src/fault/fault.ts";
import type { ForgeEvent } from "../../src/forge/events.ts";
import { plainView } from "../../src/ui/plain.ts";
import { at, done, key, node, notice, output, phase, plan, progress, skipped, start } from "./events.ts";

const NODES = [
  node("seed build", [], { present: true }),
  node("fetch linux", [], { version: "6.12.95" }),
  node("linux", ["seed build", "fetch linux"], { version: "6.12.95" }),
  node("iso", ["linux"], { version: "" }),
];

function linesOf(...events: readonly ForgeEvent[]): string[] {
  let text = "";
  const view = plainView((piece) => {
    text += piece;
  });
  for (const event of events) view(event);
  view.close();
  view.close();
  return text.split("\n").slice(0, -1);
}

test("a good run is a line per thing that happens", () => {
  assert.deepEqual(
    linesOf(
      plan(NODES),
      notice(1, "no usable KVM"),
      start(10, "fetch linux"),
      at(20, {
        type: "retry",
        key: key("fetch linux"),
        url: "http://a.example/linux.tar.xz",
        why: "connection refused",
      }),
      done(1_510, "fetch linux", 1.5, undefined, 151_304_520),
      at(1_520, {
        type: "waiting",
        key: key("linux"),
        on: "token",
        detail: "",
      }),
      at(1_520, {
        type: "waiting",
        key: key("linux"),
        on: "lock",
        detail: "process 4711",
      }),
      start(1_600, "linux", "/log/linux"),
      phase(1_600, "linux", "unpack"),
      phase(5_000, "linux", "build"),
      output(6_000, "linux", "  CC init/main.o"),
      phase(50_000, "linux", "prove"),
      at(50_500, {
        type: "proof",
        key: key("linux"),
        proof: "has boot/bzImage",
        ok: true,
        detail: "",
      }),
      phase(51_000, "linux", "store"),
      done(51_600, "linux", 50, 92.5, 6_010_000),
      start(51_700, "iso"),
      done(52_000, "iso", 0.3, 0.1, 38_123_456),
      at(52_001, { type: "end", ok: true, built: 3, reused: 1, failed: 0 }),
    ),
    [
      "channel debian: it was asked for",
      "plan 3 to make, 1 in the store, 2 jobs",
      "notice no usable KVM",
      "start fetch linux 6.12.95",
      "retry fetch linux http://a.example/linux.tar.xz: connection refused",
      "done fetch linux 6.12.95 1.5s 151 MB",
      "wait linux for lock: process 4711",
      "start linux 6.12.95",
      "phase linux prove after 45s of build",
      "done linux 6.12.95 50s 6.01 MB",
      "start iso",
      "done iso 0.3s 38.1 MB",
      "summary made 3 outputs, reused 1, in 52s",
    ],
  );
});

test("a failure brings its fault, the end of its log and the way into the sandbox", () => {
  const fault = new Fault("E_PROOF", "linux does not hold what it should", {
    details: ["has boot/bzImage"],
  });
  assert.deepEqual(
    linesOf(
      plan(NODES),
      start(0, "linux", "/log/linux"),
      at(60_000, {
        type: "proof",
        key: key("linux"),
        proof: "has boot/bzImage",
        ok: false,
        detail: "no such file",
      }),
      at(61_000, {
        type: "failed",
        key: key("linux"),
        fault,
        tail: ["one", "\x1b[1mtwo\x1b[0m"],
      }),
      skipped(61_000, "iso", "linux"),
      at(61_001, { type: "end", ok: false, built: 1, reused: 1, failed: 1 }),
    ).slice(2),
    [
      "start linux 6.12.95",
      "unproven linux has boot/bzImage: no such file",
      "failed linux 6.12.95 after 1m 01s",
      "  E_PROOF  linux does not hold what it should",
      "    has boot/bzImage",
      "    last 2 lines of the log:",
      "      | one",
      "      | two",
      "    log:  /log/linux",
      "    enter the sandbox: anvil shell linux",
      "skipped iso because linux failed",
      "summary failed after 1m 01s: 1 failed, 1 not tried, 1 made, 1 reused",
      "  linux: E_PROOF  linux does not hold what it should",
      "    log: /log/linux",
      "    enter the sandbox: anvil shell linux",
      "  not tried: iso",
    ],
  );
});

test("what is skipped says whether its need failed or was not made either", () => {
  const nodes = [node("a"), node("b", ["a"]), node("c", ["b"])];
  const failed = at(1, { type: "failed", key: key("a"), fault: new Fault("E_STEP", "no"), tail: [] });
  const lines = linesOf(plan(nodes), failed, skipped(2, "b", "a"), skipped(2, "c", "b"), skipped(2, "b", "stranger"));
  assert.deepEqual(
    lines.filter((line) => line.startsWith("skipped")),
    [
      "skipped b 1.0 because a failed",
      "skipped c 1.0 because b was not made",
      "skipped b 1.0 because something that it needs is missing",
    ],
  );
});

test("only the last lines of a long log are repeated", () => {
  const tail = Array.from({ length: 100 }, (_, index) => `line ${index}`);
  const failed = at(5, {
    type: "failed",
    key: key("linux"),
    fault: new Fault("E_STEP", "no"),
    tail,
  });
  const logLines = linesOf(plan(NODES), failed).filter((line) => line.startsWith("      | "));
  assert.equal(logLines.length, 20);
  assert.equal(logLines.at(-1), "      | line 99");
});

test("a long download is told every ten seconds, a short one not at all", () => {
  const long = Array.from({ length: 250 }, (_, index) =>
    progress(index * 100, "fetch linux", index * 600_000, 151_304_520),
  );
  assert.deepEqual(linesOf(plan(NODES), start(0, "fetch linux"), ...long).slice(3, -1), [
    "progress fetch linux 39% of 151 MB at 6.00 MB/s",
    "progress fetch linux 79% of 151 MB at 6.00 MB/s",
  ]);
  const short = [progress(10, "fetch linux", 1), progress(9_000, "fetch linux", 9_000)];
  assert.deepEqual(linesOf(plan(NODES), start(0, "fetch linux"), ...short).slice(3, -1), []);
});

test("a download of unknown size is told in bytes", () => {
  assert.deepEqual(
    linesOf(
      plan(NODES),
      start(0, "fetch linux"),
      progress(0, "fetch linux", 0),
      progress(10_000, "fetch linux", 5e6),
    )[3],
    "progress fetch linux 5.00 MB at 500 kB/s",
  );
});

test("a minute without a line is broken by what is running", () => {
  const events = [plan(NODES), start(0, "linux"), phase(0, "linux", "build")];
  for (let t = 1_000; t <= 130_000; t += 1_000) events.push(output(t, "linux", "CC"));
  assert.deepEqual(linesOf(...events).slice(3, -1), ["running linux build 1m 00s", "running linux build 2m 00s"]);
});

test("a run that is stopped says how far it came", () => {
  assert.equal(
    linesOf(plan(NODES), start(0, "linux")).at(-1),
    "stopped after 0.0s: 1 of 3 made, in the middle of linux",
  );
});

test("no escape sequence passes", () => {
  const fault = new Fault("E_X", "a\x1b[2Jb", {
    details: ["c\x1b[2Jd"],
    hint: "e\x07f",
  });
  const lines = linesOf(
    plan(NODES),
    notice(0, "\x1b]0;x\x07n\x08"),
    at(1, { type: "failed", key: key("linux"), fault, tail: ["\x9b2J"] }),
  );
  assert.match(lines.join(""), /^[\x20-\x7e]*$/);
});
