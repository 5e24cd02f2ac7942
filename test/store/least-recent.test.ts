import assert from "node:assert/strict";
import { existsSync, mkdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { sha256 } from "../../src/forge/key.ts";
import { identify } from "../../src/host/process.ts";
import type { Digest, Key } from "../../src/recipe/derivation.ts";
import { DiskStore } from "../../src/store/disk-store.ts";
import { findLeastRecent, removeAll } from "../../src/store/garbage.ts";
import type { Store } from "../../src/store/store.ts";
import { hashTreeAs } from "../../src/store/tree.ts";
import { cachePaths, temporaryFolder } from "../forge/rig.ts";

const keyOf = (name: string): Key => sha256(name) as string as Key;
const sourceOf = (name: string): Digest => sha256(`content of ${name}`);

interface Thing {
  /** Names of outputs; those of downloads begin with "@". */
  readonly from?: readonly string[];
  readonly seconds?: number;
}

/** Outputs and downloads of 1000 bytes each; the first was used at minute 1 of 1970, the second at minute 2, … */
async function filled(t: TestContext, things: Readonly<Record<string, Thing>>): Promise<Store> {
  const store = DiskStore.open(cachePaths(path.join(temporaryFolder(t), "cache")));
  let minute = 0;
  for (const [name, { from = [], seconds = 1 }] of Object.entries(things)) {
    minute += 1;
    if (name.startsWith("@")) {
      writeFileSync(store.sources.path(sourceOf(name)), Buffer.alloc(1000));
      utimesSync(store.sources.path(sourceOf(name)), minute * 60, minute * 60);
      continue;
    }
    const tree = store.workFolder(name);
    writeFileSync(path.join(tree, "file"), Buffer.alloc(1000));
    const references = from.map((each) => (each.startsWith("@") ? `source:${sourceOf(each)}` : keyOf(each)));
    const key = keyOf(name);
    await store.outputs.add(tree, { key, name, version: "", seconds, proofs: [], references });
    utimesSync(path.join(store.paths.outputs, `${key}.json`), minute * 60, minute * 60);
  }
  return store;
}

/** Names of what goes, in its order; a download by the first digits of its hash. */
async function going(store: Store, limit: number): Promise<string[]> {
  return (await findLeastRecent(store, limit)).map(({ name }) => name);
}

const download = (name: string): string => `download ${sourceOf(name).slice(0, 12)}`;

test("what was used longest ago goes first, and no more than has to", async (t) => {
  const store = await filled(t, { old: {}, "@old": {}, middle: {}, new: {} });
  assert.deepEqual(await going(store, 4000), []);
  assert.deepEqual(await going(store, 3999), ["old"]);
  assert.deepEqual(await going(store, 2000), ["old", download("@old")]);
  assert.deepEqual(await going(store, 0), ["old", download("@old"), "middle", "new"]);
});

test("who asks for the folder of an output uses it, who looks at its record does not", async (t) => {
  const store = await filled(t, { one: {}, two: {}, three: {} });
  store.outputs.path(keyOf("one"));
  store.outputs.record(keyOf("two"));
  assert.deepEqual(await going(store, 1000), ["two", "three"]);
  const later = DiskStore.open(store.paths);
  later.outputs.path(keyOf("two"));
  assert.deepEqual(await going(store, 2000), ["three"]);
});

test("what an output was made from was used when the output was", async (t) => {
  const store = await filled(t, {
    "@zlib.tar": {},
    compiler: { seconds: 600 },
    zlib: { from: ["@zlib.tar", "compiler"], seconds: 9 },
    alone: {},
    image: { from: ["zlib"], seconds: 2 },
  });
  // of what was last used together, what is made again fastest goes first
  assert.deepEqual(await going(store, 0), ["alone", download("@zlib.tar"), "image", "zlib", "compiler"]);
});

test("an output whose references are gone, or refer to each other, is no obstacle", async (t) => {
  const store = await filled(t, { one: { from: ["two", "none"] }, two: { from: ["one"] } });
  assert.deepEqual((await going(store, 0)).sort(), ["one", "two"]);
});

test("what a living process uses stays, even when the rest does not fit", async (t) => {
  const store = await filled(t, { old: {}, "@old": {}, new: {} });
  const use = await store.uses.announce({ keys: new Set([keyOf("old")]), sources: new Set([sourceOf("@old")]) });
  assert.deepEqual(await going(store, 0), ["new"]);
  use.release();
  assert.deepEqual(await going(store, 0), ["old", download("@old"), "new"]);
});

test("what a process begins to use after it was found stays, and is not said to have gone", async (t) => {
  const store = await filled(t, { old: {}, "@old": {}, new: {} });
  const found = await findLeastRecent(store, 0);
  await store.uses.announce({ keys: new Set([keyOf("old")]), sources: new Set() });
  const removed = await removeAll(found);
  assert.deepEqual(
    removed.map(({ name }) => name),
    [download("@old"), "new"],
  );
  assert.deepEqual(
    store.outputs.records().map(({ name }) => name),
    ["old"],
  );
  assert.equal(store.sources.has(sourceOf("@old")), false);
});

test("what a dead process used goes, with its list", async (t) => {
  const store = await filled(t, { old: {} });
  const [pid, started, boot, space] = store.owners.self().split(".");
  const list = path.join(store.paths.uses, `${pid}.${Number(started) - 1}.${boot}.${space}.0123456789ab`);
  writeFileSync(list, JSON.stringify({ keys: [keyOf("old")], sources: [] }));
  await removeAll(await findLeastRecent(store, 0));
  assert.deepEqual(store.outputs.records(), []);
  assert.equal(existsSync(list), false);
});

test("nothing goes while a process builds that does not say what it uses", async (t) => {
  const store = await filled(t, { old: {} });

  const parent = identify(process.ppid);
  assert.ok(parent !== undefined);
  const owner = `${parent.pid}.${parent.startTicks}.${parent.boot}.${parent.space}`;
  mkdirSync(path.join(store.paths.tmp, `${owner}.zlib-abcdef`));
  await assert.rejects(findLeastRecent(store, 0), { code: "E_CACHE_IN_USE" });
  writeFileSync(path.join(store.paths.uses, `${owner}.0123456789ab`), JSON.stringify({ keys: [], sources: [] }));
  assert.deepEqual(await going(store, 0), ["old"]);
});

test("bringing a record up to date is no use of its output", async (t) => {
  const store = await filled(t, { old: {} });
  const file = path.join(store.paths.outputs, `${keyOf("old")}.json`);

  const record = store.outputs.record(keyOf("old"));
  assert.ok(record !== undefined);
  const { layout: _, ...before } = record;
  const [digest] = (await hashTreeAs(store.outputs.folder(record), [1])).digests;
  writeFileSync(file, JSON.stringify({ ...before, digest }));
  utimesSync(file, 60, 60);
  assert.equal(await store.outputs.check({ ...before, digest: digest as Digest }, { update: true }), true);
  assert.deepEqual(store.outputs.record(keyOf("old")), record);
  assert.equal(statSync(file).mtimeMs, 60_000);
});
