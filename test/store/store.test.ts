import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { Fault } from "../../src/fault/fault.ts";
import { sha256 } from "../../src/forge/key.ts";
import type { Key } from "../../src/recipe/derivation.ts";
import { removeTree, Store, writeFault } from "../../src/store/store.ts";
import { hashFile, hashTree } from "../../src/store/tree.ts";
import { cachePaths, temporaryFolder } from "../forge/rig.ts";

const key = sha256("a thing") as string as Key;
const facts = { key, name: "thing", version: "1", seconds: 0, proofs: [], references: [] };

function openStore(t: TestContext): Store {
  return Store.open(cachePaths(path.join(temporaryFolder(t), "cache")));
}

/** A finished tree in a work folder: usr/tool, executable, a folder, a link. */
function tree(store: Store): string {
  const top = path.join(store.workFolder("thing"), "out");
  mkdirSync(path.join(top, "usr/empty"), { recursive: true });
  writeFileSync(path.join(top, "usr/tool"), "hello\n", { mode: 0o755 });
  writeFileSync(path.join(top, "usr/data"), "12345");
  symlinkSync("usr/tool", path.join(top, "tool"));
  return top;
}

async function stored(t: TestContext): Promise<{ store: Store; folder: string }> {
  const store = openStore(t);
  await store.add(tree(store), facts);
  return { store, folder: store.outputPath(key) };
}

test("an output is there once it was added, with what is known of it", async (t) => {
  const store = openStore(t);
  assert.equal(store.has(key), false);
  const record = await store.add(tree(store), facts);
  assert.equal(store.has(key), true);
  assert.deepEqual(store.record(key), record);
  assert.deepEqual([record.files, record.bytes], [2, 11]);
  assert.deepEqual(store.records(), [record]);
  assert.deepEqual(await store.strays(), []);
  assert.equal(await store.isSound(key), true);
});

test("the digest of a tree is that of its documented listing", async (t) => {
  const { store } = await stored(t);
  const digest = (text: string): string => createHash("sha256").update(text).digest("hex");
  const listing = [
    "l - usr/tool tool",
    "d - - usr",
    `f - ${digest("12345")} usr/data`,
    "d - - usr/empty",
    `f x ${digest("hello\n")} usr/tool`,
  ];
  assert.equal(store.record(key)?.digest, digest(listing.map((line) => `${line}\0`).join("")));
});

test("a digest does not depend on times, owners, permissions for others or hard links", async (t) => {
  const store = openStore(t);
  const [one, other] = [tree(store), tree(store)];
  utimesSync(path.join(other, "usr/data"), 1, 1);
  chmodSync(path.join(other, "usr/data"), 0o600);
  chmodSync(path.join(other, "usr"), 0o700);
  rmSync(path.join(other, "usr/data"));
  writeFileSync(path.join(other, "../data"), "12345");
  linkSync(path.join(other, "../data"), path.join(other, "usr/data"));
  assert.equal((await hashTree(other)).digest, (await hashTree(one)).digest);
});

/** Everything that can happen to an output behind the forge's back. */
const damages: Record<string, (folder: string) => void> = {
  "a changed byte": (folder) => writeFileSync(path.join(folder, "usr/data"), "12346"),
  "a shortened file": (folder) => truncateSync(path.join(folder, "usr/data"), 3),
  "a missing file": (folder) => rmSync(path.join(folder, "usr/data")),
  "a file too many": (folder) => writeFileSync(path.join(folder, "usr/new"), ""),
  "a missing folder": (folder) => rmSync(path.join(folder, "usr/empty"), { recursive: true }),
  "a program that is not executable": (folder) => chmodSync(path.join(folder, "usr/tool"), 0o444),
  "a file that became executable": (folder) => chmodSync(path.join(folder, "usr/data"), 0o555),
  "a link that leads elsewhere": (folder) => {
    rmSync(path.join(folder, "tool"));
    symlinkSync("usr/data", path.join(folder, "tool"));
  },
  "a link that became a file": (folder) => {
    rmSync(path.join(folder, "tool"));
    writeFileSync(path.join(folder, "tool"), "usr/tool");
  },
  "nothing at all": (folder) => removeTree(folder),
};

for (const [name, damage] of Object.entries(damages)) {
  test(`an output is not sound with ${name}`, async (t) => {
    const { store, folder } = await stored(t);
    for (const each of [folder, path.join(folder, "usr")]) chmodSync(each, 0o755);
    for (const each of ["usr/data", "usr/tool"])
      chmodSync(path.join(folder, each), each === "usr/tool" ? 0o755 : 0o644);
    assert.equal(await store.isSound(key), true, "before");
    damage(folder);
    assert.equal(await store.isSound(key), false);
  });
}

test("a record that a power cut cut off does not count, and its output is made again", async (t) => {
  const { store, folder } = await stored(t);
  const record = path.join(store.paths.outputs, `${key}.json`);
  truncateSync(record, 20);
  assert.equal(store.has(key), false);
  assert.equal(await store.isSound(key), false);
  assert.deepEqual(await store.strays(), [folder]);
  await store.add(tree(store), facts);
  assert.equal(await store.isSound(key), true);
});

test("a folder without a record is not an output, and is replaced", async (t) => {
  const { store, folder } = await stored(t);
  rmSync(path.join(store.paths.outputs, `${key}.json`));
  assert.equal(store.has(key), false);
  assert.deepEqual(await store.strays(), [folder]);
  const half = tree(store);
  writeFileSync(path.join(half, "more"), "");
  await store.add(half, facts);
  assert.ok(existsSync(path.join(store.outputPath(key), "more")));
});

test("a folder that somebody is about to write the record of is no stray", async (t) => {
  const { store, folder } = await stored(t);
  rmSync(path.join(store.paths.outputs, `${key}.json`));
  const lock = await store.lock(key);
  assert.ok("release" in lock);
  assert.deepEqual(await store.strays(), []);
  lock.release();
  assert.deepEqual(await store.strays(), [folder]);
});

test("what is removed is gone, although it was read-only", async (t) => {
  const { store, folder } = await stored(t);
  store.remove(key);
  assert.equal(store.has(key), false);
  assert.equal(existsSync(folder), false);
  assert.deepEqual(readdirSync(store.paths.outputs), []);
});

test("work of processes that are gone is abandoned, that of living ones is not", async (t) => {
  const store = openStore(t);
  const mine = store.workFolder("mine");
  const [pid, started, boot] = store.owners.self().split(".");
  const theirs = path.join(store.paths.tmp, `${pid}.${Number(started) - 1}.${boot}.theirs-x`);
  mkdirSync(theirs);
  assert.deepEqual(await store.abandoned(), [theirs]);
  assert.ok(existsSync(mine));
});

test("a download is sound when it is what its name says", (t) => {
  const store = openStore(t);
  const digest = sha256("source");
  assert.equal(store.hasSource(digest), false);
  writeFileSync(store.sourcePath(digest), "source");
  assert.equal(store.isSourceSound(digest), true);
  assert.equal(hashFile(store.sourcePath(digest)), digest);
  writeFileSync(store.sourcePath(digest), "sauce");
  assert.equal(store.isSourceSound(digest), false);
  store.removeSource(digest);
  assert.equal(store.hasSource(digest), false);
});

test("the times of an output are the same whenever it was added", async (t) => {
  const { folder } = await stored(t);
  const times = ["", "usr", "usr/tool", "usr/data"].map((name) => statSync(path.join(folder, name)).mtimeMs);
  assert.deepEqual([...new Set(times)], [Date.UTC(2000, 0, 1)]);
});

test("what a system error of a write means is said, other errors stay what they are", () => {
  const fault = (code: string): unknown => writeFault(Object.assign(new Error(code), { code }), "/cache");
  for (const code of ["ENOSPC", "EDQUOT"]) assert.equal((fault(code) as Fault).code, "E_DISK_FULL");
  for (const code of ["EROFS", "EACCES", "EPERM"]) assert.equal((fault(code) as Fault).code, "E_READ_ONLY");
  assert.ok(!(fault("EIO") instanceof Fault));
});
