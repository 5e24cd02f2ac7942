import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { Fault } from "../../src/fault/fault.ts";
import { writeBundle, type BundleIndex, type Share } from "../../src/forge/bundle.ts";
import { acceptedPins, importBundle, type ImportPlan, type Imported } from "../../src/forge/bundle-import.ts";
import type { Channel } from "../../src/recipe/channel.ts";
import type { Digest, FetchDerivation } from "../../src/recipe/derivation.ts";
import { DiskStore } from "../../src/store/disk-store.ts";
import type { Store } from "../../src/store/store.ts";
import { buildTar, type TarItem } from "../format/tar-builder.ts";
import { cachePaths, temporaryFolder } from "./rig.ts";
import { sha256Of } from "./sources.ts";

/** Several sizes: none, less than a block, a block, many. */
const contents = ["", "small", "b".repeat(512), "large".repeat(500_000)].map((text) => Buffer.from(text));

const fetchOf = (bytes: Buffer, more: Partial<FetchDerivation> = {}): FetchDerivation => ({
  kind: "fetch",
  name: `n${bytes.length}`,
  version: "1",
  file: `n${bytes.length}-1.tar`,
  archive: `pool/n${bytes.length}-1.tar`,
  urls: [],
  sha256: sha256Of(bytes) as Digest,
  size: bytes.length,
  unverified: undefined,
  ...more,
});

function channelOf(name: string, files: readonly Buffer[]): Channel {
  const components = Object.fromEntries(
    files.map((bytes) => {
      const { name: component, version, sha256 = "", archive = "" } = fetchOf(bytes);
      return [component, { version, archive, sha256, verified: "recorded" as const, licence: "0BSD" }];
    }),
  );
  return { name, description: "for tests", epoch: 1, components, seeds: {} };
}

const shareOf = (name: string, files: readonly Buffer[], targets: readonly string[] = ["iso"]): Share => ({
  channel: channelOf(name, files),
  targets,
  fetches: files.map((bytes) => fetchOf(bytes)),
});

function storeWith(t: TestContext, files: readonly Buffer[]): Store {
  const store = DiskStore.open(cachePaths(temporaryFolder(t)));
  for (const bytes of files) writeFileSync(store.sources.path(sha256Of(bytes) as Digest), bytes);
  return store;
}

const sources = (store: Store): string[] => readdirSync(store.paths.sources).sort();

const planOf =
  (shares: readonly Share[], more: Partial<ImportPlan> = {}): (() => Promise<ImportPlan>) =>
  () =>
    Promise.resolve({ wanted: shares, partly: false, acceptUnverified: new Set<string>(), ...more });

interface Made {
  readonly file: string;
  readonly share: Share;
}

async function bundle(t: TestContext): Promise<Made> {
  const share = shareOf("one", contents);
  const file = path.join(temporaryFolder(t), "sources.tar");
  await writeBundle([share], storeWith(t, contents), file);
  return { file, share };
}

function fault(code: string, message: RegExp, detail?: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof Fault, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    if (detail !== undefined) assert.match(error.details.join("\n"), detail);
    return true;
  };
}

/** Nothing was taken, and nothing is left of the attempt. */
async function refuses(t: TestContext, file: string, share: Share, expected: (error: unknown) => boolean) {
  const store = storeWith(t, []);
  await assert.rejects(importBundle(file, store, planOf([share])), expected);
  assert.deepEqual(sources(store), []);
  assert.deepEqual(readdirSync(store.paths.tmp), []);
}

test("what was exported is there after an import, each file under the hash of its bytes", async (t) => {
  const { file, share } = await bundle(t);
  const store = storeWith(t, []);
  const { taken, index } = await importBundle(file, store, planOf([share]));
  assert.equal(taken.length, contents.length);
  assert.deepEqual(index.channels[0]?.targets, ["iso"]);
  assert.deepEqual(sources(store), contents.map(sha256Of).sort());
  for (const bytes of contents) assert.deepEqual(readFileSync(store.sources.path(sha256Of(bytes) as Digest)), bytes);
});

test("the same files make the same bytes, in whatever order channels and files are named", async (t) => {
  const [one, two] = [shareOf("one", contents), shareOf("two", contents.slice(1), ["lz4", "db"])];
  const folder = temporaryFolder(t);
  const store = storeWith(t, contents);
  await writeBundle([one, two], store, path.join(folder, "a"));
  const turned = { ...two, targets: ["db", "lz4"], fetches: [...two.fetches].reverse() };
  await writeBundle([turned, one], storeWith(t, contents), path.join(folder, "b"));
  assert.deepEqual(readFileSync(path.join(folder, "a")), readFileSync(path.join(folder, "b")));
  assert.deepEqual(readdirSync(folder), ["a", "b"]);
});

test("tar lists a bundle and takes it apart, and the index says what each file is", async (t) => {
  const { file } = await bundle(t);
  const out = temporaryFolder(t);
  execFileSync("tar", ["-xf", file, "-C", out]);
  const index = JSON.parse(readFileSync(path.join(out, "anvil-sources/index.json"), "utf8")) as BundleIndex;
  assert.deepEqual(
    index.files.map(({ file: name, bytes, channels }) => [name, bytes, channels]).sort(),
    contents.map(({ length }) => [`n${length}-1.tar`, length, ["one"]]).sort(),
  );
  for (const { sha256 } of index.files)
    assert.equal(sha256Of(readFileSync(path.join(out, "anvil-sources", sha256))), sha256);
});

test("a file that two channels need is there once, and one of them can be taken alone", async (t) => {
  const [one, two] = [shareOf("one", contents.slice(0, 3)), shareOf("two", contents.slice(1))];
  const file = path.join(temporaryFolder(t), "both");
  const { index } = await writeBundle([one, two], storeWith(t, contents), file);
  assert.equal(index.files.length, contents.length);
  const store = storeWith(t, []);
  await importBundle(file, store, planOf([two], { partly: true }));
  assert.deepEqual(sources(store), contents.slice(1).map(sha256Of).sort());
  await importBundle(file, store, planOf([one, two]));
  assert.deepEqual(sources(store), contents.map(sha256Of).sort());
});

test("what is there already is not read again", async (t) => {
  const { file, share } = await bundle(t);
  const store = storeWith(t, contents);
  // behind the index nothing is left: whoever reads on finds that out
  truncateSync(file, statSync(file).size - 3_000_000 + 500_000);
  assert.deepEqual((await importBundle(file, store, planOf([share]))).taken, []);
  await refuses(t, file, share, fault("E_BUNDLE", /is damaged/));
});

test("a file in the store that was cut is taken anew", async (t) => {
  const { file, share } = await bundle(t);
  const store = storeWith(t, contents);
  const [, , , large] = contents as [Buffer, Buffer, Buffer, Buffer];
  truncateSync(store.sources.path(sha256Of(large) as Digest), 5);
  const { taken } = await importBundle(file, store, planOf([share]));
  assert.deepEqual(
    taken.map(({ sha256 }) => sha256),
    [sha256Of(large)],
  );
  assert.equal(store.sources.isSound(sha256Of(large) as Digest), true);
});

test("a bundle that was cut anywhere is refused, and nothing of it is taken", async (t) => {
  const { file, share } = await bundle(t);
  const whole = readFileSync(file);
  const cuts = [
    0,
    1,
    511,
    512,
    700,
    1024,
    2048,
    4096,
    whole.length >> 1,
    whole.length - 1024 - 512,
    whole.length - 1025,
  ];
  for (const length of cuts) {
    writeFileSync(file, whole.subarray(0, length));
    await refuses(t, file, share, fault("E_BUNDLE", /is damaged|is no bundle/));
  }
});

test("a bundle with one other byte in any part of a file or a head is refused", async (t) => {
  const { file, share } = await bundle(t);
  const whole = readFileSync(file);
  const index = whole.indexOf("anvil-sources/", 512);
  const inFiles = ["small", "bbbbbbbb", "largelarge"].map((text) => whole.indexOf(text, index));
  for (const at of [index + 20, index + 130, ...inFiles]) {
    const bytes = Buffer.from(whole);
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    writeFileSync(file, bytes);
    await refuses(t, file, share, fault("E_BUNDLE", /is damaged/));
  }
});

test("entries that the index does not have, or that stand elsewhere, are refused, whatever they are called", async (t) => {
  const { file, share } = await bundle(t);
  const out = temporaryFolder(t);
  execFileSync("tar", ["-xf", file, "-C", out]);
  const index = readFileSync(path.join(out, "anvil-sources/index.json"), "utf8");
  const { files } = JSON.parse(index) as BundleIndex;
  const head: TarItem = { name: "anvil-sources/index.json", data: index };
  const good: TarItem[] = files.map(({ sha256 }) => ({
    name: `anvil-sources/${sha256}`,
    data: readFileSync(path.join(out, "anvil-sources", sha256), "utf8"),
  }));
  const [first, second, ...rest] = good as [TarItem, TarItem, ...TarItem[]];
  const variants: Record<string, TarItem[]> = {
    "one more": [head, ...good, { name: "anvil-sources/more", data: "x" }],
    "one in front": [{ name: "README", data: "x" }, head, ...good],
    turned: [head, second, first, ...rest],
    twice: [head, first, first, second, ...rest],
    above: [head, { ...first, name: "../../anvil-sources/x" }, second, ...rest],
    absolute: [head, { ...first, name: `/${first.name}` }, second, ...rest],
    "a link": [head, { name: first.name, type: "symlink", target: "/etc/passwd" }, second, ...rest],
    "a folder": [head, { name: first.name, type: "directory" }, second, ...rest],
    "without an index": good,
  };
  for (const [what, items] of Object.entries(variants)) {
    writeFileSync(file, await buildTar(items));
    await refuses(
      t,
      file,
      share,
      fault("E_BUNDLE", what.startsWith("one in") || what.startsWith("without") ? /is no bundle/ : /is damaged/),
    );
  }
  writeFileSync(file, await buildTar([head, ...good]));
  const store = storeWith(t, []);
  assert.equal(
    (await importBundle(file, store, planOf([share]))).taken.length,
    files.length,
    "another tar writes it too",
  );
});

test("an index that is not one is refused with the place that is wrong", async (t) => {
  const { file, share } = await bundle(t);
  const sha256 = "0".repeat(64);
  const entry = { sha256, bytes: 1, file: "a", name: "a", version: "1", channels: [] };
  const broken: Record<string, unknown> = {
    "$.format": { format: 2, channels: [], files: [] },
    "$.files[1].sha256": { format: 1, channels: [], files: [entry, entry] },
    "$.files[0].sha256": { format: 1, channels: [], files: [{ ...entry, sha256: "../../x" }] },
    "$.files[0].bytes": { format: 1, channels: [], files: [{ ...entry, bytes: -1 }] },
    "$.more": { format: 1, channels: [], files: [], more: 1 },
  };
  for (const [place, index] of Object.entries(broken)) {
    writeFileSync(file, await buildTar([{ name: "anvil-sources/index.json", data: JSON.stringify(index) }]));
    await refuses(t, file, share, fault("E_BUNDLE", new RegExp(place.replace(/[$[\].]/g, "\\$&"))));
  }
  writeFileSync(file, await buildTar([{ name: "anvil-sources/index.json", data: "{" }]));
  await refuses(t, file, share, fault("E_BUNDLE", /is no bundle/));
});

test("what is no bundle at all is refused: a text, another archive, a folder, nothing", async (t) => {
  const folder = temporaryFolder(t);
  const share = shareOf("one", contents);
  const file = path.join(folder, "file");
  await refuses(t, file, share, fault("E_BUNDLE", /cannot be read/));
  await refuses(t, folder, share, fault("E_BUNDLE", /it is a folder/));
  writeFileSync(file, "a text\n");
  await refuses(t, file, share, fault("E_BUNDLE", /is no bundle/));
  writeFileSync(file, await buildTar([{ name: "thing/a", data: "1" }]));
  await refuses(t, file, share, fault("E_BUNDLE", /is no bundle/));
});

test("a bundle for other pins says what is missing, before anything is copied", async (t) => {
  const { file } = await bundle(t);
  const newer = Buffer.from("newer");
  const share = shareOf("one", [...contents, newer]);
  await refuses(
    t,
    file,
    share,
    fault("E_BUNDLE_CHANNEL", /lacks 1 of the 5 files/, /another version[^]*n5 1: n5-1\.tar/),
  );
  const elsewhere = shareOf("two", [newer]);
  await refuses(t, file, elsewhere, fault("E_BUNDLE_CHANNEL", /channel "two"/, /was made for one/));
  const one = channelOf("one", [...contents, newer]);
  const narrow = { channel: one, targets: ["iso"], fetches: contents.map((bytes) => fetchOf(bytes)) };
  const store = storeWith(t, [newer]);
  await writeBundle([narrow], storeWith(t, contents), file);
  const all = shareOf("one", [...contents, newer]);
  await refuses(t, file, all, fault("E_BUNDLE_CHANNEL", /lacks 1 of the 5/, /was made for iso/));
  assert.equal((await importBundle(file, store, planOf([all]))).taken.length, 4, "what is here need not be in it");
});

test("files that no channel here pins are refused, unless a channel is named", async (t) => {
  const { file } = await bundle(t);
  const share = shareOf("one", contents.slice(0, 2));
  await refuses(t, file, share, fault("E_BUNDLE_CHANNEL", /holds 2 files/, /n512 1: n512-1\.tar/));
  const store = storeWith(t, []);
  await importBundle(file, store, planOf([share], { partly: true }));
  assert.deepEqual(sources(store), contents.slice(0, 2).map(sha256Of).sort());
});

test("a source with a doubtful pin is taken when it is accepted here, too, and not before", async (t) => {
  const bytes = Buffer.from("doubtful");
  const { components, ...rest } = channelOf("one", [bytes]);
  const { sha256: _, ...pin } = components["n8"] ?? { version: "", verified: "recorded", licence: "" };
  const channel: Channel = { ...rest, components: { n8: { ...pin, unverified: "found on a wall" } } };
  const unverified = "found on a wall";
  const file = path.join(temporaryFolder(t), "sources.tar");
  await writeBundle([{ channel, targets: [], fetches: [fetchOf(bytes, { unverified })] }], storeWith(t, [bytes]), file);
  const store = storeWith(t, []);
  const attempt = (accept: readonly string[]): Promise<Imported> =>
    importBundle(file, store, (index) => {
      const acceptUnverified = new Set(accept);
      const sha256 = acceptedPins(index, channel, acceptUnverified).get("n8");
      const wanted = [{ channel, fetches: [fetchOf(bytes, { unverified, sha256 })] }];
      return Promise.resolve({ wanted, partly: false, acceptUnverified });
    });
  await assert.rejects(attempt([]), fault("E_UNVERIFIED", /n8 1 is doubtful/));
  assert.deepEqual(sources(store), []);
  await attempt(["n8"]);
  assert.deepEqual(sources(store), [sha256Of(bytes)]);
});

test("a download that is damaged in the store is not exported, and goes", async (t) => {
  const share = shareOf("one", contents);
  const store = storeWith(t, contents);
  const folder = temporaryFolder(t);
  const damaged = store.sources.path(sha256Of(contents[1] ?? Buffer.alloc(0)) as Digest);
  writeFileSync(damaged, "other");
  await assert.rejects(
    writeBundle([share], store, path.join(folder, "a")),
    fault("E_STORE_DAMAGED", /n5-1\.tar in the store is damaged/),
  );
  assert.equal(existsSync(damaged), false);
  await assert.rejects(
    writeBundle([share], store, path.join(folder, "a")),
    fault("E_STORE_DAMAGED", /not in the store/),
  );
  assert.deepEqual(readdirSync(folder), []);
});

test("an export replaces an ordinary file in one step, and nothing else", async (t) => {
  const share = shareOf("one", contents);
  const store = storeWith(t, contents);
  const folder = temporaryFolder(t);
  const file = path.join(folder, "a");
  writeFileSync(file, "an older one");
  const controller = new AbortController();
  controller.abort();
  const large = Buffer.alloc(40 << 20, "x");
  const more = storeWith(t, [large]);
  await assert.rejects(
    writeBundle([shareOf("one", [large])], more, file, controller.signal),
    fault("E_INTERRUPTED", /no file was made/),
  );
  assert.equal(readFileSync(file, "utf8"), "an older one");
  await writeBundle([share], store, file);
  assert.deepEqual(readdirSync(folder), ["a"]);
  mkdirSync(path.join(folder, "b"));
  await assert.rejects(writeBundle([share], store, path.join(folder, "b")), fault("E_BUNDLE", /is a folder/));
  symlinkSync("a", path.join(folder, "c"));
  await assert.rejects(writeBundle([share], store, path.join(folder, "c")), fault("E_BUNDLE", /no ordinary file/));
  await assert.rejects(writeBundle([share], store, path.join(file, "e")), fault("E_BUNDLE", /cannot be written/));
  await assert.rejects(writeBundle([share], store, path.join(file, "e/f")), fault("E_BUNDLE", /cannot be written/));
  await writeBundle([share], store, path.join(folder, "g/h"));
  assert.deepEqual(readdirSync(path.join(folder, "g")), ["h"]);
});
