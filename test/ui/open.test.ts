import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseView, type Environment } from "../../src/ui/open.ts";
import { AnsiScreen } from "./ansi-screen.ts";
import { at, done, ManualClock, node, plan, start } from "./events.ts";

interface Choice {
  readonly json?: boolean;
  readonly plain?: boolean;
  readonly isTTY?: boolean;
  readonly env?: Environment;
}

/** What is written of a small run. */
function shown({
  json = false,
  plain: asPlain = false,
  isTTY = true,
  env = { TERM: "xterm-256color" },
}: Choice): string {
  const screen = new AnsiScreen();
  const write = (text: string): boolean => screen.write(text);
  const clock = new ManualClock();
  const view = chooseView({
    json,
    plain: asPlain,
    stream: { write, isTTY, columns: 80, rows: 24 },
    env,
    clock,
  });
  view(plan([node("a")]));
  view(start(0, "a"));
  clock.goTo(500);
  view(done(500, "a", 0.5));
  view(at(500, { type: "end", ok: true, built: 1, reused: 0, failed: 0 }));
  view.close();
  return screen.writes.join("");
}

test("a terminal gets live rows in colour", () => {
  assert.match(shown({}), /\x1b\[\d+A/);
  assert.match(shown({}), /\x1b\[32m✓ /);
});

test("--json gives objects, even on a terminal and with --plain", () => {
  const lines = shown({ json: true, plain: true }).trimEnd().split("\n");
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as { type: string }).type),
    ["plan", "start", "done", "end"],
  );
});

test("what is not a terminal, a dumb terminal and --plain get plain lines", () => {
  for (const choice of [{ plain: true }, { isTTY: false }, { env: { TERM: "dumb" } }, { env: {} }]) {
    assert.match(shown(choice), /^channel .*\nplan 1 to make.*\nstart a 1.0\ndone a 1.0 0.5s 1.00 kB\nsummary /);
  }
});

test("NO_COLOR takes the colours away, an empty one does not", () => {
  assert.doesNotMatch(shown({ env: { TERM: "xterm", NO_COLOR: "1" } }), /\x1b\[\d*m/);
  assert.match(shown({ env: { TERM: "xterm", NO_COLOR: "" } }), /\x1b\[32m/);
});

test("a locale without UTF-8 and the kernel's console get ASCII marks", () => {
  for (const env of [
    { TERM: "xterm", LANG: "C" },
    { TERM: "linux", LANG: "de_DE.UTF-8" },
  ]) {
    assert.match(shown({ env: { ...env, NO_COLOR: "1" } }), /\+ a 1\.0/);
  }
  for (const env of [{ TERM: "xterm", LANG: "C", LC_ALL: "C.utf8" }, { TERM: "xterm" }]) {
    assert.match(shown({ env: { ...env, NO_COLOR: "1" } }), /✓ a 1\.0/);
  }
});
