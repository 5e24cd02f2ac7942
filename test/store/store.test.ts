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
import { createServer } from "node:net";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { Fault } from "../../src/fault/fault.ts";
import { sha256 } from "../../src/forge/key.ts";
import type { Key } from "../../src/recipe/derivation.ts";
import { removeTree } from "../../src/host/remove-tree.ts";
import { DiskStore } from "../../src/store/disk-store.ts";
import type { OutputRecord } from "../../src/store/record.ts";
import type { Store } from "../../src/store/store.ts";
import { writeFault } from "../../src/store/write-fault.ts";
import { hashFile, hashTree, hashTreeAs } from "../../src/store/tree.ts";
import { cachePaths, temporaryFolder } from "../forge/rig.ts";

const key = sha256("a thing") as string as Key;
const facts = { key, name: "thing", version: "1", seconds: 0, proofs: [], references: [] };

function openStore(t: TestContext): Store {
  return DiskStore.open(cachePaths(path.join(temporaryFolder(t), "cache")));
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
  await store.outputs.add(tree(store), facts);
  return { store, folder: store.outputs.path(key) };
}

test("an output is there once it was added, with what is known of it", async (t) => {
  const store = openStore(t);
  assert.equal(store.outputs.has(key), false);
  const record = await store.outputs.add(tree(store), facts);
  assert.equal(store.outputs.has(key), true);
  assert.deepEqual(store.outputs.record(key), record);
  assert.deepEqual([record.files, record.bytes], [2, 11]);
  assert.deepEqual(store.outputs.records(), [record]);
  assert.deepEqual(await store.outputs.strays(), []);
  assert.equal(await store.outputs.isSound(key), true);
});

test("the digest of a tree is that of its documented listing", async (t) => {
  const { store } = await stored(t);
  const digest = (text: string): string => createHash("sha256").update(text).digest("hex");
  const listing = [
    ["l", "-", "usr/tool", "tool"],
    ["d", "-", "-", "usr"],
    ["f", "-", digest("12345"), "usr/data"],
    ["d", "-", "-", "usr/empty"],
    ["f", "x", digest("hello\n"), "usr/tool"],
  ];
  assert.equal(
    store.outputs.record(key)?.digest,
    digest(
      listing
        .flat()
        .map((field) => `${field}\0`)
        .join(""),
    ),
  );
  assert.equal(store.outputs.record(key)?.layout, 2);
});

/** A tree of these links: their targets by their names. */
function links(
  t: TestContext,
  entries: readonly (readonly [name: string | Buffer, target: string | Buffer])[],
): string {
  const top = temporaryFolder(t);
  for (const [name, target] of entries) symlinkSync(target, Buffer.concat([Buffer.from(`${top}/`), Buffer.from(name)]));
  return top;
}

test("trees that differ have digests that differ, whatever their names hold", async (t) => {
  const digests = await Promise.all(
    [
      links(t, [["c", "a b"]]),
      links(t, [["b c", "a"]]),
      links(t, [
        ["x", "- - y"],
        ["z", "1"],
      ]),
      links(t, [
        ["y", "- - x"],
        ["z", "1"],
      ]),
      // not UTF-8
      links(t, [["a", Buffer.from([0xff])]]),
      links(t, [["a", Buffer.from([0xfe])]]),
    ].map((top) => hashTree(top)),
  );
  assert.equal(new Set(digests.map(({ digest }) => digest)).size, digests.length);
});

test("a socket in a tree is refused, not passed over", async (t) => {
  const top = temporaryFolder(t);
  const server = createServer().listen(path.join(top, "socket"));
  t.after(() => server.close());
  await assert.rejects(hashTree(top), { code: "E_OUTPUT_FILE_TYPE", message: /^socket is neither/ });
});

/** The record of an output as the first version wrote it. */
async function recordBefore(store: Store, folder: string): Promise<void> {
  const { digests } = await hashTreeAs(folder, [1]);
  const { layout: _, ...record } = store.outputs.record(key) as OutputRecord;
  writeFileSync(path.join(store.paths.outputs, `${key}.json`), JSON.stringify({ ...record, digest: digests[0] }));
}

test("an output whose digest is of an older listing is sound, and brought up to date when all of it is read", async (t) => {
  const { store, folder } = await stored(t);
  const now = store.outputs.record(key) as OutputRecord;
  await recordBefore(store, folder);
  const before = store.outputs.record(key) as OutputRecord;
  assert.notEqual(before.digest, now.digest);
  assert.equal(await store.outputs.isSound(key), true);
  assert.equal(await store.outputs.check(before, { update: false }), true);
  assert.deepEqual(store.outputs.record(key), before);
  assert.equal(await store.outputs.check(before, { update: true }), true);
  assert.deepEqual(store.outputs.record(key), now);
});

test("an output whose digest is of an older listing is not brought up to date when it is damaged", async (t) => {
  const { store, folder } = await stored(t);
  await recordBefore(store, folder);
  const before = store.outputs.record(key) as OutputRecord;
  chmodSync(path.join(folder, "usr/data"), 0o644);
  writeFileSync(path.join(folder, "usr/data"), "12346");
  assert.equal(await store.outputs.isSound(key), false);
  assert.equal(await store.outputs.check(before, { update: true }), false);
  assert.deepEqual(store.outputs.record(key), before);
});

test("what another place made is there for those alone who accept it, and never in the place of the sandbox's", async (t) => {
  const store = openStore(t);
  const origin = { place: "the Monolith", for: ["cc"] };
  const theirs = await store.outputs.add(tree(store), { ...facts, origin });
  assert.deepEqual(theirs.origin, origin);
  assert.equal(store.outputs.has(key), false);
  assert.equal(store.accepting(["db"]).outputs.has(key), false);
  assert.equal(store.accepting(["db", "cc"]).outputs.has(key), true);
  assert.deepEqual(store.outputs.elsewhere(key), [theirs]);
  assert.deepEqual(store.outputs.records(), [theirs]);
  assert.deepEqual(await store.outputs.strays(), []);
  const elsewhere = store.accepting(["cc"]).outputs.path(key);
  const own = await store.outputs.add(tree(store), facts);
  assert.equal(own.origin, undefined);
  assert.notEqual(store.outputs.path(key), elsewhere);
  assert.deepEqual(store.accepting(["cc"]).outputs.record(key), own, "the sandbox's comes first");
  assert.ok(existsSync(elsewhere));
  assert.equal(own.digest, theirs.digest);
  store.outputs.removeRecord(theirs);
  assert.equal(existsSync(elsewhere), false);
  assert.equal(await store.outputs.isSound(key), true);
});

test("what is made for two ingots is there for who accepts both", async (t) => {
  const store = openStore(t);
  await store.outputs.add(tree(store), { ...facts, origin: { place: "the Monolith", for: ["cc", "db"] } });
  assert.equal(store.accepting(["cc"]).outputs.has(key), false);
  assert.equal(store.accepting(["cc"]).accepting(["db"]).outputs.has(key), true);
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
  "a name that is not UTF-8": (folder) =>
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/usr/`), Buffer.from([0xff])]), ""),
  "nothing at all": (folder) => removeTree(folder),
};

for (const [name, damage] of Object.entries(damages)) {
  test(`an output is not sound with ${name}`, async (t) => {
    const { store, folder } = await stored(t);
    for (const each of [folder, path.join(folder, "usr")]) chmodSync(each, 0o755);
    for (const each of ["usr/data", "usr/tool"])
      chmodSync(path.join(folder, each), each === "usr/tool" ? 0o755 : 0o644);
    assert.equal(await store.outputs.isSound(key), true, "before");
    damage(folder);
    assert.equal(await store.outputs.isSound(key), false);
  });
}

test("a record that a power cut cut off does not count, and its output is made again", async (t) => {
  const { store, folder } = await stored(t);
  const record = path.join(store.paths.outputs, `${key}.json`);
  truncateSync(record, 20);
  assert.equal(store.outputs.has(key), false);
  assert.equal(await store.outputs.isSound(key), false);
  assert.deepEqual(await store.outputs.strays(), [folder]);
  await store.outputs.add(tree(store), facts);
  assert.equal(await store.outputs.isSound(key), true);
});

test("a folder without a record is not an output, and is replaced", async (t) => {
  const { store, folder } = await stored(t);
  rmSync(path.join(store.paths.outputs, `${key}.json`));
  assert.equal(store.outputs.has(key), false);
  assert.deepEqual(await store.outputs.strays(), [folder]);
  const half = tree(store);
  writeFileSync(path.join(half, "more"), "");
  await store.outputs.add(half, facts);
  assert.ok(existsSync(path.join(store.outputs.path(key), "more")));
});

test("a folder that somebody is about to write the record of is no stray", async (t) => {
  const { store, folder } = await stored(t);
  rmSync(path.join(store.paths.outputs, `${key}.json`));
  const lock = await store.lock(key);
  assert.ok("release" in lock);
  assert.deepEqual(await store.outputs.strays(), []);
  lock.release();
  assert.deepEqual(await store.outputs.strays(), [folder]);
});

test("what is removed is gone, although it was read-only", async (t) => {
  const { store, folder } = await stored(t);
  store.outputs.remove(key);
  assert.equal(store.outputs.has(key), false);
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
  assert.equal(store.sources.has(digest), false);
  writeFileSync(store.sources.path(digest), "source");
  assert.equal(store.sources.isSound(digest), true);
  assert.equal(hashFile(store.sources.path(digest)), digest);
  writeFileSync(store.sources.path(digest), "sauce");
  assert.equal(store.sources.isSound(digest), false);
  store.sources.remove(digest);
  assert.equal(store.sources.has(digest), false);
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
