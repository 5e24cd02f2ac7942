import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { sha256 } from "../../src/forge/key.ts";
import type { Key } from "../../src/recipe/derivation.ts";
import { DiskStore } from "../../src/store/disk-store.ts";
import type { OutputRecord } from "../../src/store/record.ts";
import type { Store } from "../../src/store/store.ts";
import { cachePaths, temporaryFolder } from "../forge/rig.ts";

const key = sha256("a thing") as string as Key;

async function stored(t: TestContext): Promise<Store> {
  const store = DiskStore.open(cachePaths(path.join(temporaryFolder(t), "cache")));
  const tree = store.workFolder("thing");
  writeFileSync(path.join(tree, "file"), "12345");
  await store.outputs.add(tree, { key, name: "thing", version: "1", seconds: 0, proofs: [], references: [] });
  return store;
}

const formatFile = (store: Store): string => path.join(store.paths.top, "format");
const recordFile = (store: Store): string => path.join(store.paths.outputs, `${key}.json`);

test("the cache folder and each record name their format", async (t) => {
  const store = await stored(t);
  assert.equal(readFileSync(formatFile(store), "utf8"), "1\n");
  assert.equal((JSON.parse(readFileSync(recordFile(store), "utf8")) as OutputRecord).format, 1);
});

test("a folder and records that name no format are of the first one", async (t) => {
  const store = await stored(t);
  const { format: _, ...before } = store.outputs.record(key) as OutputRecord;
  for (const content of [undefined, ""]) {
    if (content === undefined) rmSync(formatFile(store));
    else writeFileSync(formatFile(store), content);
    writeFileSync(recordFile(store), JSON.stringify(before));
    const again = DiskStore.open(store.paths);
    assert.deepEqual(again.outputs.record(key), before);
    assert.deepEqual(again.outputs.records(), [before]);
    assert.equal(await again.outputs.isSound(key), true);
    assert.equal(readFileSync(formatFile(store), "utf8"), "1\n");
  }
});

test("a folder of a newer format is refused, and nothing in it is touched", async (t) => {
  const store = await stored(t);
  for (const format of ["2\n", "10", "new"]) {
    writeFileSync(formatFile(store), format);
    rmSync(store.paths.uses, { recursive: true, force: true });
    const before = readdirSync(store.paths.top);
    assert.throws(() => DiskStore.open(store.paths), { code: "E_CACHE_FORMAT", message: /newer anvil/ });
    assert.deepEqual(readdirSync(store.paths.top), before);
    assert.equal(readFileSync(formatFile(store), "utf8"), format);
  }
});

test("a record of a newer format is refused by name, whoever reads it", async (t) => {
  const store = await stored(t);
  writeFileSync(recordFile(store), JSON.stringify({ ...store.outputs.record(key), format: 2 }));
  const fault = { code: "E_CACHE_FORMAT", details: [`${recordFile(store)} has format 2, this anvil knows 1`] };
  assert.throws(() => store.outputs.has(key), fault);
  assert.throws(() => store.outputs.records(), fault);
  await assert.rejects(store.outputs.isSound(key), fault);
});
