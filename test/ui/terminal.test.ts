import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "../../src/fault/fault.ts";
import type { ForgeEvent } from "../../src/forge/events.ts";
import { emptyProfile, type Profile } from "../../src/ui/profile.ts";
import { terminalView, type TerminalOptions } from "../../src/ui/terminal.ts";
import type { View } from "../../src/ui/view.ts";
import { columns } from "../../src/ui/width.ts";
import { AnsiScreen } from "./ansi-screen.ts";
import { at, done, key, ManualClock, node, notice, output, phase, plan, progress, skipped, start } from "./events.ts";

interface Stage {
  readonly screen: AnsiScreen;
  readonly clock: ManualClock;
  readonly view: View;
  /** Sends events, the clock going with them, then goes on to the next drawing. */
  readonly play: (...events: readonly ForgeEvent[]) => void;
}

function stage(screen = new AnsiScreen(), options: Partial<TerminalOptions> = {}): Stage {
  const clock = new ManualClock();
  const view = terminalView(screen, {
    clock,
    colour: false,
    unicode: true,
    profile: emptyProfile,
    ...options,
  });
  const play = (...events: readonly ForgeEvent[]): void => {
    for (const event of events) {
      clock.goTo(event.t);
      view(event);
    }
    clock.goTo(clock.now() + 100);
  };
  return { screen, clock, view, play };
}

const NODES = [
  node("seed build", [], { present: true }),
  node("fetch gcc", [], { version: "14.2.0" }),
  node("fetch linux", [], { version: "6.12.95" }),
  node("anvil-cc", ["seed build", "fetch gcc"], { version: "14.2.0" }),
  node("linux", ["anvil-cc", "fetch linux"], { version: "6.12.95" }),
  node("zfs", ["anvil-cc", "linux"]),
  node("iso", ["linux", "zfs"]),
];

const fault = new Fault("E_STEP", "the step ended with exit code 2", {
  details: ["phase build"],
  hint: "the log says why",
});

test("a run in the middle shows what is made, what runs, what waits for what, and the whole", () => {
  const { screen, clock, play } = stage();
  play(
    plan(NODES),
    start(0, "fetch gcc"),
    start(0, "fetch linux"),
    progress(500, "fetch linux", 0, 151_304_520),
    done(2_000, "fetch gcc", 2),
    start(2_000, "anvil-cc", "/log/anvil-cc"),
    phase(2_000, "anvil-cc", "build"),
    output(3_000, "anvil-cc", "checking for ld used by gcc... yes"),
    progress(3_500, "fetch linux", 30_000_000, 151_304_520),
  );
  clock.goTo(10_500);
  assert.equal(
    screen.text(),
    [
      "channel debian: it was asked for",
      "6 to make, 1 in the store",
      "✓ fetch gcc 14.2.0  2.0s",
      "▸ fetch linux  10s     30.0 MB of 151 MB  3.33 MB/s  40s left",
      "▸ anvil-cc     8s      build   checking for ld used by gcc... yes",
      "  linux  waits for anvil-cc, fetch linux",
      "  zfs    waits for anvil-cc, linux",
      "  … 1 more waits",
      "1/6 made · 10s · at least 40s left · 1 reused · 2 jobs",
    ].join("\n"),
  );
});

test("what is in the store already is only counted", () => {
  const { screen, play } = stage();
  play(plan(NODES), done(10, "seed build", 0), start(20, "fetch gcc"));
  assert.doesNotMatch(screen.text(), /seed build/);
  assert.match(screen.text(), /0\/6 made.*1 reused/);
});

test("what another forge made meanwhile counts as made and is not listed", () => {
  const { screen, play } = stage();
  const waiting = at(10, {
    type: "waiting",
    key: key("fetch gcc"),
    on: "lock",
    detail: "process 4711",
  });
  play(plan(NODES), waiting);
  assert.match(screen.text(), /fetch gcc {2}waits for another forge: process 4711/);
  play(done(500, "fetch gcc", 0));
  assert.doesNotMatch(screen.text(), /✓/);
  assert.match(screen.text(), /1\/6 made/);
});

test("a step that is ready but has no core says so", () => {
  const { screen, play } = stage();
  play(plan([node("a"), node("b")]), start(0, "a"), at(0, { type: "waiting", key: key("b"), on: "token", detail: "" }));
  assert.match(screen.text(), /^ {2}b {2}waits for a free core$/m);
});

test("the estimate comes from the last profile", () => {
  const profile: Profile = new Map([
    ["fetch gcc", { seconds: 10, cpu: undefined }],
    ["fetch linux", { seconds: 10, cpu: undefined }],
    ["anvil-cc", { seconds: 600, cpu: 1000 }],
    ["linux", { seconds: 300, cpu: 500 }],
    ["zfs", { seconds: 60, cpu: 100 }],
    ["iso", { seconds: 20, cpu: 10 }],
  ]);
  const { screen, clock, play } = stage(new AnsiScreen(), { profile });
  play(plan(NODES), start(0, "fetch gcc"), start(0, "fetch linux"));
  assert.match(screen.text(), /about 17m left/);
  play(done(10_000, "fetch gcc", 10), start(10_000, "anvil-cc"));
  clock.goTo(310_000);
  assert.match(screen.text(), /5m 10s · about 12m left/);
});

test("at most ten drawings a second, however many events there are, and none when nothing changed", () => {
  const { screen, clock, view } = stage();
  view(plan(NODES));
  view(start(0, "anvil-cc"));
  for (let t = 1; t <= 1000; t += 1) {
    clock.goTo(t);
    view(output(t, "anvil-cc", `line ${t}`));
  }
  assert.equal(screen.writes.length, 10);
  clock.goTo(1_100);
  assert.match(screen.text(), /line 1000/);
  const before = screen.writes.length;
  clock.goTo(1_900);
  assert.equal(screen.writes.length, before);
});

test("every write leaves the cursor shown", () => {
  const screen = new AnsiScreen();
  const { clock, view } = stage(screen);
  let shown = true;
  const write = screen.write.bind(screen);
  screen.write = (text) => {
    write(text);
    shown &&= screen.cursorShown;
    return true;
  };
  for (const event of [plan(NODES), start(0, "fetch gcc"), done(1_000, "fetch gcc", 1)]) {
    view(event);
    clock.goTo(event.t + 200);
  }
  view.close();
  assert.ok(screen.writes.length >= 3);
  assert.ok(shown);
});

test("a failure shows the fault, the end of the log, where it is and how to enter the sandbox", () => {
  const { screen, play } = stage();
  play(
    plan(NODES),
    start(0, "anvil-cc", "/cache/log/anvil-cc.log"),
    at(61_000, {
      type: "failed",
      key: key("anvil-cc"),
      fault,
      tail: ["cc1: \x1b[31merror\x1b[0m", "make: *** [all] Error 2"],
    }),
  );
  assert.match(
    screen.text(),
    new RegExp(
      [
        "",
        "✗ anvil-cc 14.2.0 failed after 1m 01s",
        "  E_STEP  the step ended with exit code 2",
        "    phase build",
        "    hint: the log says why",
        "    last 2 lines of the log:",
        "      \\| cc1: error",
        "      \\| make: \\*\\*\\* \\[all\\] Error 2",
        "    log:  /cache/log/anvil-cc.log",
        "    enter the sandbox: anvil shell anvil-cc",
        "",
      ].join("\n"),
    ),
  );
});

test("a download that fails offers no sandbox", () => {
  const { screen, play } = stage();
  const sourceFault = new Fault("E_SOURCE_HASH", "gcc is not the file that is pinned", { log: "/log/gcc" });
  play(
    plan(NODES),
    start(0, "fetch gcc"),
    at(9, {
      type: "failed",
      key: key("fetch gcc"),
      fault: sourceFault,
      tail: [],
    }),
  );
  assert.match(screen.text(), /E_SOURCE_HASH {2}gcc is not the file that is pinned\n {4}log: {2}\/log\/gcc\n/);
  assert.doesNotMatch(screen.text(), /anvil shell/);
});

test("while things unwind the failure stays in red and all else is dimmed", () => {
  const { screen, play } = stage(new AnsiScreen(), { colour: true });
  play(plan(NODES), start(0, "fetch linux"), start(0, "anvil-cc"), output(1, "fetch linux", "chatter"));
  assert.equal(screen.styleOf("▸ fetch linux"), "32");
  play(at(9_000, { type: "failed", key: key("anvil-cc"), fault, tail: [] }));
  assert.equal(screen.styleOf("▸ fetch linux"), "2");
  assert.equal(screen.styleOf("✗ anvil-cc failed"), "31");
  assert.doesNotMatch(screen.text(), /chatter/);
  play(done(10_000, "fetch linux", 10));
  assert.equal(screen.styleOf("✓ fetch linux"), "2");
});

test("the summary of a failed run repeats what failed and what was not tried", () => {
  const { screen, clock, view, play } = stage();
  play(
    plan(NODES),
    start(0, "fetch linux"),
    done(1_000, "fetch linux", 1),
    start(1_000, "anvil-cc", "/log/anvil-cc"),
    at(9_000, { type: "failed", key: key("anvil-cc"), fault, tail: [] }),
    skipped(9_000, "linux", "anvil-cc"),
    skipped(9_000, "zfs", "anvil-cc"),
    skipped(9_000, "iso", "anvil-cc"),
    at(63_000, { type: "end", ok: false, built: 2, reused: 1, failed: 1 }),
  );
  view.close();
  assert.deepEqual(screen.lines().slice(-5), [
    "failed after 1m 03s: 1 failed, 3 not tried, 2 made, 1 reused",
    "  anvil-cc: E_STEP  the step ended with exit code 2",
    "    log: /log/anvil-cc",
    "    enter the sandbox: anvil shell anvil-cc",
    "  not tried: linux, zfs, iso",
  ]);
  assert.equal(clock.timers, 0);
});

test("the live rows are gone after the end and the summary is the last line", () => {
  const { screen, play } = stage();
  const [gcc = node("x")] = NODES.slice(1);
  play(
    plan([gcc]),
    start(0, "fetch gcc"),
    done(2_000, "fetch gcc", 2),
    at(2_100, { type: "end", ok: true, built: 1, reused: 0, failed: 0 }),
  );
  assert.deepEqual(screen.lines(), [
    "channel debian: it was asked for",
    "1 to make, 0 in the store",
    "✓ fetch gcc 14.2.0  2.0s",
    "made 1 output, reused 0, in 2.1s",
  ]);
});

test("a run with nothing to do says so", () => {
  const { screen, play } = stage();
  play(plan([node("a", [], { present: true })]), at(200, { type: "end", ok: true, built: 0, reused: 1, failed: 0 }));
  assert.equal(screen.lines().at(-1), "nothing to do: 1 output in the store (0.2s)");
});

test("a second plan in the same stream is another run", () => {
  const { screen, view, play } = stage();
  play(plan([node("fetch x")]), start(0, "fetch x"), done(5_000, "fetch x", 5));
  play(at(5_000, { type: "end", ok: true, built: 1, reused: 0, failed: 0 }));
  view(plan([node("y", ["z"]), node("z")]));
  view(start(0, "z"));
  play();
  assert.deepEqual(screen.lines().slice(2), [
    "✓ fetch x 1.0  5.0s",
    "made 1 output, reused 0, in 5.0s",
    "channel debian: it was asked for",
    "2 to make, 0 in the store",
    "▸ z  0s",
    "  y  waits for z",
    "0/2 made · 0s · 2 jobs",
  ]);
});

test("a run that is told to stop ends with how far it came", () => {
  const { screen, play } = stage();
  play(plan(NODES), start(0, "fetch gcc"), at(4_000, { type: "end", ok: false, built: 0, reused: 1, failed: 0 }));
  assert.equal(screen.lines().at(-1), "stopped after 4.0s: 0 of 6 made, in the middle of fetch gcc");
});

test("what a node needs is there when it starts, even if no event said so", () => {
  const { screen, play } = stage();
  play(plan([node("a"), node("b", ["a"])]), start(10, "b"));
  assert.match(screen.text(), /^1\/2 made/m);
  assert.doesNotMatch(screen.text(), /wait/);
});

test("a run that is stopped clears the live rows and says how far it came", () => {
  const { screen, view, clock, play } = stage();
  play(plan(NODES), start(0, "fetch gcc"), start(0, "fetch linux"), done(5_000, "fetch gcc", 5));
  view.close();
  view.close();
  view(done(6_000, "fetch linux", 6));
  assert.deepEqual(screen.lines().slice(2), [
    "✓ fetch gcc 14.2.0  5.0s",
    "stopped after 5.0s: 1 of 6 made, in the middle of fetch linux",
  ]);
  assert.equal(clock.timers, 0);
});

test("closing before the first event writes no text", () => {
  const { screen, view } = stage();
  view.close();
  assert.equal(screen.text(), "");
});

test("every live row fits the width, down to a few columns", () => {
  for (const width of [120, 80, 41, 39, 20, 8, 2]) {
    const { screen, play } = stage(new AnsiScreen(width, 24));
    play(
      plan(NODES),
      start(0, "fetch linux"),
      progress(0, "fetch linux", 0, 9e6),
      progress(2_000, "fetch linux", 4e6, 9e6),
    );
    play(start(2_100, "anvil-cc"), output(2_100, "anvil-cc", "x".repeat(500)));
    const live = screen.writes.at(-1) ?? "";
    for (const line of live.replaceAll(/\x1b\[[?\d]*[A-Za-z]|\r/g, "").split("\n")) {
      assert.ok(columns(line) < width, `${columns(line)} of ${width}: ${line}`);
    }
    assert.equal(screen.lines().filter((line) => line.startsWith("1/6")).length, width < 8 ? 0 : 1);
  }
});

test("a narrow terminal shows names and times alone", () => {
  const { screen, play } = stage(new AnsiScreen(30, 24));
  play(plan(NODES), start(0, "anvil-cc"), phase(0, "anvil-cc", "build"), output(1, "anvil-cc", "chatter"));
  assert.match(screen.text(), /^▸ anvil-cc {2}0s$/m);
});

test("a low terminal keeps the line with the whole and says what it leaves out", () => {
  const many = Array.from({ length: 9 }, (_, index) => node(`p${index}`));
  const { screen, play } = stage(new AnsiScreen(60, 6));
  play(plan(many), ...many.slice(0, 7).map(({ name }) => start(0, name)));
  assert.deepEqual(screen.lines().slice(2), [
    "▸ p0  0s",
    "▸ p1  0s",
    "▸ p2  0s",
    "  … 4 more running",
    "0/9 made · 0s · 2 jobs",
  ]);
});

test("a change of width takes no line away and leaves no remains of the rows before", () => {
  const screen = new AnsiScreen(100, 24);
  const { clock, play } = stage(screen);
  play(plan(NODES), start(0, "fetch gcc"), done(5, "fetch gcc", 1), start(6, "anvil-cc"));
  play(output(7, "anvil-cc", "y".repeat(90)));
  for (const width of [44, 20, 90]) {
    screen.resize(width, 24);
    clock.goTo(clock.now() + 100);
    clock.goTo(clock.now() + 1_000);
  }
  assert.deepEqual(screen.lines(), [
    "channel debian: it was asked for",
    "6 to make, 1 in the store",
    "✓ fetch gcc 14.2.0  1.0s",
    `▸ anvil-cc  3s              ${"y".repeat(60)}…`,
    "  linux  waits for anvil-cc, fetch linux",
    "  zfs    waits for anvil-cc, linux",
    "  … 2 more wait",
    "1/6 made · 3s · 1 reused · 2 jobs",
  ]);
});

test("a finished line that fills the width exactly stays whole", () => {
  const name = "n".repeat(80 - "✓  1.0  1.0s".length);
  const { screen, play } = stage();
  play(plan([node(name), node("other")]), start(0, name), start(0, "other"), done(1_000, name, 1));
  assert.match(screen.text(), new RegExp(`^✓ ${name} 1.0 {2}1.0s$`, "m"));
});

test("escape sequences and control characters of a build never reach the terminal", () => {
  const { screen, play } = stage();
  const hostile = "\x1b[2J\x1b]0;title\x07\x1b[31mred\x1b[0m\ttab\x00\u202eevil\r50%\r99%\x9b2J";
  play(plan(NODES), start(0, "anvil-cc"), output(1, "anvil-cc", hostile), notice(2, "\x1b[2Jnote"));
  assert.match(screen.text(), /99%$/m);
  assert.match(screen.text(), /^! note$/m);
});

test("wide characters are counted as two columns", () => {
  const { screen, play } = stage(new AnsiScreen(50, 24));
  play(plan(NODES), start(0, "anvil-cc"), output(1, "anvil-cc", "コンパイル中のファイル一覧を表示しています"));
  const row = screen.lines().find((line) => line.includes("コンパイル")) ?? "";
  assert.ok(row.endsWith("…"));
  assert.ok(columns(row) >= 47 && columns(row) <= 49, row);
});

test("without colour there is no SGR sequence, and ASCII marks where there is no Unicode", () => {
  const { screen, play } = stage(new AnsiScreen(), { unicode: false });
  play(plan(NODES), start(0, "fetch gcc"), start(0, "fetch linux"), done(1_000, "fetch gcc", 1));
  play(at(2_000, { type: "failed", key: key("fetch linux"), fault, tail: [] }));
  const all = screen.writes.join("");
  assert.doesNotMatch(all, /\x1b\[\d*m/);
  assert.match(all.replaceAll("\x1b", ""), /^[\x20-\x7e\r\n]*$/);
  assert.match(screen.text(), /^\+ fetch gcc/m);
  assert.match(screen.text(), /^x fetch linux 6\.12\.95 failed/m);
});

test("a mirror that fails is told once, above", () => {
  const { screen, play } = stage();
  play(
    plan(NODES),
    start(0, "fetch gcc"),
    at(5, {
      type: "retry",
      key: key("fetch gcc"),
      url: "http://a.example/gcc.tar",
      why: "404",
    }),
  );
  assert.equal(screen.lines()[2], "! fetch gcc: http://a.example/gcc.tar: 404");
});

test("events about unknown keys change nothing", () => {
  const { screen, play } = stage();
  play(
    plan(NODES),
    start(0, "stranger"),
    done(5, "stranger", 1),
    at(6, { type: "failed", key: key("x"), fault, tail: [] }),
  );
  assert.doesNotMatch(screen.text(), /stranger|✗/);
});
