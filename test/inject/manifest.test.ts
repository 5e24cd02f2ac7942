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
