import assert from "node:assert/strict";
import { test } from "node:test";
import { errno } from "../../src/fault/fault.ts";
import { ingotKey, parseManifest, writeManifest, type Manifest } from "../../src/inject/manifest.ts";
import { sampleManifest } from "./samples.ts";

const text = writeManifest(sampleManifest);
const parse = (changed: string): Manifest => parseManifest(Buffer.from(changed));

/** Random numbers that are the same in every run: mulberry32. */
function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

test("a manifest comes back as it was written, and is written as it was", () => {
  assert.deepEqual(parse(text), sampleManifest);
  assert.equal(writeManifest(parse(text)), text);
  assert.match(ingotKey(Buffer.from(text)), /^[0-9a-f]{64}$/);
  assert.match(text, /^link \.\.\/a%20b%25 usr\/bin\/tab%09$/m);
});

test("what is not a manifest is refused with the line", () => {
  const cases: readonly [what: string, change: (before: string) => string, why: RegExp][] = [
    ["empty", () => "", /line 1/],
    ["another version", (all) => all.replace("anvil-ingot 1", "anvil-ingot 2"), /line 1/],
    ["no name", (all) => all.replace(/^name .*\n/m, ""), /line 2/],
    ["a name in capitals", (all) => all.replace("name sample", "name Sample"), /line 2/],
    ["a name with a slash", (all) => all.replace("name sample", "name ../x"), /line 2/],
    ["the name of the folder of programs", (all) => all.replace("name sample", "name bin"), /line 2/],
    ["a space at the end", (all) => all.replace("name sample", "name sample "), /line 2/],
    ["carriage returns", (all) => all.replaceAll("\n", "\r\n"), /line 1/],
    ["a date that is none", (all) => all.replace(/^date .*/m, "date 012"), /line 5/],
    ["facts out of order", (all) => all.replace(/^(arch .*\n)(date .*\n)/m, "$2$1"), /line 4/],
    ["an unknown word", (all) => all.replace(/^proof /m, "prove "), /line 11/],
    ["data in another place", (all) => all.replace(/^(data\n)(proof .*\n)/m, "$2$1"), /line 11/],
    ["data twice", (all) => all.replace(/^data\n/m, "data\ndata\n"), /line 11/],
    ["a second health check", (all) => all.replace(/^(health .*\n)/m, "$1$1"), /second/],
    ["a health check without time", (all) => all.replace("health 30", "health 0"), /time/],
    ["a health check of an absent program", (all) => all.replace(/^(health \d+) .*/m, "$1 usr/bin/no"), /no program/],
    ["a service without its program", (all) => all.replace(/^file 755 (.*service)/m, "file 644 $1"), /no program/],
    ["a service twice", (all) => all.replace(/^(service .*\n)/m, "$1$1"), /twice/],
    ["a mode", (all) => all.replace(/^file 755/m, "file 4755"), /malformed/],
    ["a short hash", (all) => all.replace(/[0-9a-f]{128}/, "abc"), /malformed/],
    ["an absolute path", (all) => all.replace("dir 755 usr\n", "dir 755 /usr\n"), /path/],
    ["a path upwards", (all) => all.replace("dir 755 usr\n", "dir 755 ..\n"), /path/],
    ["a folder of the Monolith", (all) => all.replace("dir 755 service\n", "dir 755 .anvil\n"), /belongs/],
    [
      "entries out of order",
      (all) => all.replace(/^(dir 755 service\n)((?:.*\n)*?)(dir 755 usr\n)/m, "$3$2$1"),
      /order|folder/,
    ],
    ["an entry twice", (all) => all.replace(/^(dir 755 usr\n)/m, "$1$1"), /order/],
    ["a file without its folder", (all) => all.replace(/^dir 755 usr\/bin\n/m, ""), /folder/],
    ["a letter that needs no code", (all) => all.replace("usr/bin/tab%09", "usr/bin/%74ab%09"), /written/],
    ["digits of a code in small letters", (all) => all.replace("tab%09", "tab%0a"), /written/],
    ["a chunk too large", (all) => all.replace(/^chunk 4194304/m, "chunk 4194305"), /large/],
    ["a short chunk that is not the last", (all) => all.replace(/^chunk 4194304/m, "chunk 4194303"), /not the last/],
    ["chunks that do not add up", (all) => all.replace(/^chunk \d+ (\d+ .*\nend)/m, "chunk 7 $1"), /unpack/],
    ["no end", (all) => all.replace(/end\n$/, ""), /malformed/],
    ["something after the end", (all) => `${all}\n`, /after the end/],
  ];
  for (const [what, change, why] of cases) {
    const changed = change(text);
    assert.notEqual(changed, text, what);
    assert.throws(
      () => parse(changed),
      (error: Error) => errno(error) === "E_INGOT_MANIFEST" && why.test(error.message),
      what,
    );
  }
  assert.throws(() => parseManifest(Buffer.from([0xff, 0xfe])), { code: "E_INGOT_MANIFEST" });
});

test("of 20 000 manifests with random damage each is refused, or means exactly what it says", () => {
  const roll = dice(1);
  let accepted = 0;
  for (let round = 0; round < 20_000; round++) {
    const bytes = Buffer.from(text);
    for (let change = roll(3); change >= 0; change--) bytes[roll(bytes.length)] = roll(4) === 0 ? 10 : 32 + roll(95);
    try {
      assert.equal(writeManifest(parseManifest(bytes)), bytes.toString());
      accepted++;
    } catch (error) {
      assert.equal(errno(error), "E_INGOT_MANIFEST", bytes.toString());
    }
  }
  assert.ok(accepted > 0 && accepted < 20_000);
});
