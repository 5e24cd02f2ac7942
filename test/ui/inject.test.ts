import assert from "node:assert/strict";
import { test } from "node:test";
import type { InjectEvent } from "../../src/inject/events.ts";
import { injectView } from "../../src/ui/inject.ts";
import { AnsiScreen } from "./ansi-screen.ts";
import { ManualClock } from "./events.ts";

const story: readonly InjectEvent[] = [
  { t: 0, type: "connect", to: 'machine "monolith"' },
  { t: 300, type: "system", system: "0123456789ab", pool: "anvil", kept: true },
  { t: 310, type: "ingot", name: "cc", version: "14.2.0", key: "ab".repeat(32), bytes: 50_000_000, files: 1234 },
  { t: 400, type: "phase", phase: "receive" },
  { t: 400, type: "progress", bytes: 10_000_000, total: 50_000_000 },
  { t: 2_400, type: "progress", bytes: 30_000_000, total: 50_000_000 },
  { t: 4_400, type: "progress", bytes: 50_000_000, total: 50_000_000 },
  { t: 4_400, type: "phase", phase: "prove" },
  { t: 5_900, type: "phase", phase: "activate" },
  { t: 6_000, type: "injected", sent: 40_000_000, facts: { was: "cd".repeat(16), state: "active" } },
];

const LINES = [
  "system 0123456789ab, pool anvil",
  "ingot cc 14.2.0, key abababababab, 1234 files, 50.0 MB",
  "done receive 4.0s 40.0 MB at 10.0 MB/s",
  "done prove 1.5s",
  "done activate 0.1s",
  "active cc 14.2.0, instead of cdcdcdcdcdcd, 40.0 MB sent, in 6.0s",
];

function play(screen: AnsiScreen, events: readonly InjectEvent[], options: { json?: boolean; plain?: boolean } = {}) {
  const clock = new ManualClock();
  const { json = false, plain = false } = options;
  const view = injectView({ json, plain, stream: screen, env: { TERM: "xterm" }, clock });
  for (const event of events) {
    clock.goTo(event.t);
    view(event);
  }
  return { clock, view };
}

test("a terminal shows what goes on in one row, and what is done above it", () => {
  const screen = new AnsiScreen();
  const { clock, view } = play(screen, story.slice(0, 6));
  clock.goTo(2_500);
  assert.deepEqual(screen.lines(), [...LINES.slice(0, 2), "  receive  2s  30.0 MB of 50.0 MB  10.0 MB/s"]);
  for (const event of story.slice(6)) view(event);
  view.close();
  assert.deepEqual(screen.lines(), LINES);
});

test("a narrow terminal gets a row that fits", () => {
  const screen = new AnsiScreen(20);
  const { clock } = play(screen, story.slice(0, 6));
  clock.goTo(2_500);
  assert.equal(screen.lines().at(-1), "  receive  2s  30.…");
});

test("elsewhere there are the same lines without the row; what is in memory only is said", () => {
  const screen = new AnsiScreen();
  play(screen, story, { plain: true });
  assert.deepEqual(screen.writes.join(""), `${LINES.join("\n")}\n`);
  const memory = new AnsiScreen();
  play(memory, [{ t: 0, type: "system", system: "x", pool: "memory", kept: false }], { plain: true });
  assert.deepEqual(memory.lines(), ["system x, pool memory: in memory, gone after a restart"]);
});

test("an ingot that is active already is nothing to do", () => {
  const screen = new AnsiScreen();
  const again: InjectEvent = { t: 500, type: "injected", sent: 0, facts: { state: "already-active" } };
  play(screen, [...story.slice(0, 3), again], { plain: true });
  assert.deepEqual(screen.lines().slice(2), ["nothing to do: cc 14.2.0 is active already"]);
});

test("--json gives each event as it is, times in whole milliseconds", () => {
  const screen = new AnsiScreen(1000);
  play(screen, story, { json: true });
  assert.deepEqual(
    screen.lines().map((line) => JSON.parse(line) as unknown),
    story,
  );
});
