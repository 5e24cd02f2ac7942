import assert from "node:assert/strict";
import { test } from "node:test";
import { count, duration, elapsed, estimate, size } from "../../src/ui/units.ts";
import { clean, columns, pad, truncate } from "../../src/ui/width.ts";

test("durations read as people say them", () => {
  const cases: [number, string][] = [
    [-1, "0.0s"],
    [0.04, "0.0s"],
    [9.94, "9.9s"],
    [9.96, "10s"],
    [59.4, "59s"],
    [59.6, "1m 00s"],
    [67, "1m 07s"],
    [3599.6, "1h 00m"],
    [7385, "2h 03m"],
  ];
  for (const [seconds, text] of cases) assert.equal(duration(seconds), text);
  assert.equal(elapsed(9.99), "9s");
  assert.equal(elapsed(65.9), "1m 05s");
});

test("estimates are coarse", () => {
  assert.deepEqual([1, 12, 54, 56, 130, 3600, 7321].map(estimate), [
    "5s",
    "15s",
    "55s",
    "1m",
    "3m",
    "1h 00m",
    "2h 03m",
  ]);
});

test("sizes have three digits and decimal units", () => {
  assert.deepEqual([0, 812, 999, 1000, 34_344_259, 999_600, 151_304_520, 1_250_000_000].map(size), [
    "0 B",
    "812 B",
    "999 B",
    "1.00 kB",
    "34.3 MB",
    "1.00 MB",
    "151 MB",
    "1.25 GB",
  ]);
  assert.deepEqual([count(1, "job"), count(2, "job")], ["1 job", "2 jobs"]);
});

test("columns count East Asian and emoji characters twice and combining marks not at all", () => {
  assert.equal(columns("plain"), 5);
  assert.equal(columns("漢字"), 4);
  assert.equal(columns("e\u0301"), 1);
  assert.equal(columns("🔨"), 2);
  assert.equal(columns("✓ …"), 3);
});

test("truncating never gives more columns than asked for", () => {
  assert.equal(truncate("abcdef", 6), "abcdef");
  assert.equal(truncate("abcdef", 5), "abcd…");
  assert.equal(truncate("漢字漢字", 6), "漢字…");
  assert.equal(truncate("漢字漢字", 5), "漢字…");
  assert.equal(truncate("漢字", 2, "~"), "~");
  assert.equal(truncate("abc", 0), "");
  assert.equal(pad("漢", 4), "漢  ");
});

test("cleaning keeps what the line last showed and nothing that steers a terminal", () => {
  assert.equal(clean("\x1b[1;31mred\x1b[0m text"), "red text");
  assert.equal(clean("10%\r20%\r100%\r"), "100%");
  assert.equal(clean("a\tb  "), "a  b");
  assert.equal(clean("\x1b]8;;http://x.example\x07link\x1b]8;;\x07"), "link");
  assert.equal(clean("a\u202eb\u2066c"), "abc");
  assert.doesNotMatch(clean("\x1b\x9b\x00\x7f\x85x"), /\p{Cc}/u);
});
