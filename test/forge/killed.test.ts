import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import { cpio, source, type Output } from "../../src/recipe/recipe.ts";
import type { Digest } from "../../src/recipe/derivation.ts";
import { removeTree } from "../../src/host/remove-tree.ts";
import { file, serve } from "../source/http-server.ts";
import { Rig, step } from "./rig.ts";
import { tarball } from "./sources.ts";

const KILLS = 50;

const data = await tarball("data", [{ name: "data", data: "data\n".repeat(1000) }]);
const unpacked = step("unpacked", "cp data/data /out", { source: source("data") });
const sorted = step("sorted", "sort /in/unpacked/data > /out/data", { inputs: [unpacked] });
const many = step("many", "for i in 1 2 3 4 5 6 7 8 9; do mkdir /out/$i; echo $i > /out/$i/$i; done");
const joined = step("joined", "cp -r /in/many /in/sorted /out", { inputs: [many, sorted] });
const archive = cpio("archive", joined);
const graph: readonly Output[] = [unpacked, sorted, many, joined, archive];

/** The same numbers in every run: a linear congruential generator (Numerical Recipes, 7.1). */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** The outputs that are there, none of which may be half-written. */
async function digests(rig: Rig): Promise<Record<string, Digest>> {
  const found: Record<string, Digest> = {};
  for (const { key, name, digest } of rig.store.outputs.records()) {
    if (name.startsWith("seed-")) continue;
    assert.equal(await rig.store.outputs.isSound(key), true, `${name} is damaged`);
    found[name] = digest;
  }
  return found;
}

async function empty(rig: Rig): Promise<void> {
  for (const { key, name } of rig.store.outputs.records()) if (!name.startsWith("seed-")) rig.store.outputs.remove(key);
  (await rig.store.outputs.strays()).forEach(removeTree);
  for (const name of readdirSync(rig.store.paths.sources)) rig.store.sources.remove(name as Digest);
}

test(
  `a forge that is killed at ${KILLS} moments goes on each time, and ends with the same outputs`,
  { timeout: 1_200_000 },
  async (t) => {
    const rig = await Rig.make(t, { components: { data: data.pin } });
    const server = await serve(t, file(data.bytes));
    const options = { mirrors: [server.root] };
    const undisturbed = await rig.forge(graph, options);
    const expected = await digests(rig);
    assert.equal(Object.keys(expected).length, graph.length);
    await empty(rig);

    const random = numbers(1);
    let [kills, whole] = [0, 0];
    while (kills < KILLS) {
      const forge = rig.spawn(graph, options);
      const after = random(undisturbed.events.length);
      // some turns of the event loop later: between two events, too
      const turns = random(20);
      let seen = 0;
      const moment = forge.event(() => seen++ >= after).catch(() => {});
      await moment;
      for (let i = 0; i < turns; i++) await turn();
      forge.kill();
      const { status, stderr } = await forge.ended;
      assert.equal(stderr, "");
      const there = await digests(rig);
      for (const [name, digest] of Object.entries(there)) assert.equal(digest, expected[name], name);
      if (status === "SIGKILL") {
        kills++;
        continue;
      }
      assert.equal(status, 0);
      assert.deepEqual(there, expected);
      whole++;
      await empty(rig);
    }

    const last = await rig.forge(graph, options);
    assert.equal(last.ok, true);
    assert.deepEqual(await digests(rig), expected);
    assert.deepEqual(await rig.store.outputs.strays(), []);
    assert.deepEqual(readdirSync(rig.store.paths.tmp), []);
    assert.deepEqual(
      readdirSync(rig.store.paths.locks).filter((name) => name.includes(".")),
      [],
    );
    t.diagnostic(`${whole} forges ended between the kills`);
  },
);
