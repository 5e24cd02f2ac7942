import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { ForgeEvent } from "../../src/forge/events.ts";
import type { Key } from "../../src/recipe/derivation.ts";
import { serialiseEvent } from "../../src/ui/json.ts";
import { anvil, temporaryFolder } from "./command-line.ts";

const key = "a".repeat(64) as Key;

const events: readonly ForgeEvent[] = [
  {
    type: "plan",
    t: 0,
    channel: "debian",
    why: "asked for",
    jobs: 2,
    nodes: [{ key, name: "zlib", version: "1.3.1", kind: "step", needs: [], present: false }],
  },
  { type: "start", t: 1, key, log: undefined },
  { type: "done", t: 2500, key, seconds: 2.5, cpu: 2, bytes: 100 },
  { type: "end", t: 2500, ok: true, built: 1, reused: 0, failed: 0 },
];

/** A cache folder whose last run had these lines. */
function cacheWith(folder: string, text: string): string {
  mkdirSync(path.join(folder, "log"), { recursive: true });
  writeFileSync(path.join(folder, "log/last-run.jsonl"), text);
  return folder;
}

const lines = events.map((event) => `${serialiseEvent(event)}\n`).join("");

test("the report of the last run is one page, and where it stands is printed", async (t) => {
  const cache = cacheWith(temporaryFolder(t), lines);
  const { status, stdout } = await anvil(["report"], { cache });
  assert.equal(status, 0);
  assert.equal(fileURLToPath(stdout.trim()), path.join(cache, "out/report.html"));
  const page = readFileSync(path.join(cache, "out/report.html"), "utf8");
  assert.match(page, /^<!doctype html>/);
  assert.match(page, /<title>Forge report: debian<\/title>/);
  assert.match(page, /zlib/);
});

test("--out puts it elsewhere and leaves nothing but the page", async (t) => {
  const cache = cacheWith(temporaryFolder(t), lines);
  const { status } = await anvil(["report", "--out", "pages/monday.html"], { cache });
  assert.equal(status, 0);
  assert.deepEqual(readdirSync(path.join(cache, "pages")), ["monday.html"]);
});

test("a run that was killed in the middle of a line has a report too", async (t) => {
  const cache = cacheWith(temporaryFolder(t), lines.slice(0, -20));
  assert.equal((await anvil(["report"], { cache })).status, 0);
});

test("--events reads what anvil forge --json printed", async (t) => {
  const cache = temporaryFolder(t);
  writeFileSync(path.join(cache, "events.jsonl"), lines);
  assert.equal((await anvil(["report", "--events", "events.jsonl"], { cache })).status, 0);
  assert.ok(existsSync(path.join(cache, "out/report.html")));
});

test("without a run the fault is E_NO_LOG and no file is made", async (t) => {
  for (const cache of [temporaryFolder(t), cacheWith(temporaryFolder(t), "")]) {
    const { status, stderr } = await anvil(["report"], { cache });
    assert.equal(status, 1);
    assert.match(stderr, /^E_NO_LOG {2}/);
    assert.ok(!existsSync(path.join(cache, "out")));
  }
});

test("a log that is none is refused with the number of its line", async (t) => {
  const { status, stderr } = await anvil(["report"], { cache: cacheWith(temporaryFolder(t), `${lines}hello\n`) });
  assert.equal(status, 1);
  assert.match(stderr, /^E_EVENTS_FORMAT {2}line 5 /);
});

test("a place that cannot be written is a fault, and nothing stays there", async (t) => {
  const cache = cacheWith(temporaryFolder(t), lines);
  mkdirSync(path.join(cache, "taken.html"));
  const { status, stderr } = await anvil(["report", "--out", "taken.html"], { cache });
  assert.equal(status, 1);
  assert.match(stderr, /^E_READ_ONLY {2}.*taken\.html cannot be written/);
  assert.deepEqual(
    readdirSync(cache).filter((name) => name.endsWith(".tmp")),
    [],
  );
});
