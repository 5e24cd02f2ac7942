import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { Fault } from "../../src/fault/fault.ts";
import type { Channel, Component, Patches } from "../../src/recipe/channel.ts";
import { mirrorHas, mirrorReader, type ReadArchive } from "../../src/source/archive-index.ts";
import { loadChannel } from "../../src/source/channel.ts";
import { lockComponent, refreshChannel as refresh, type Refresh, type Wanted } from "../../src/source/lock.ts";
import { mirrorsAt, oneByOne } from "../../src/source/mirror.ts";
import { writeChannel } from "../../src/source/pin-changes.ts";
import { debianKeyring, keyringOf, verifyCleartext, type SignedText } from "../../src/source/openpgp.ts";
import { Archive, type ArchiveAccess } from "../../src/source/signed-archive.ts";
import {
  archiveFiles,
  hashOf,
  newSigner,
  packagingWith,
  signed,
  sourceParagraph,
  type FakeSuite,
} from "./archive-builder.ts";
import { projectRoot } from "../forge/rig.ts";
import { file, serve, status } from "./http-server.ts";

const [archiveKey, strangerKey] = await Promise.all([newSigner(), newSigner()]);
const ring = await keyringOf(archiveKey.publicKey);

const filesOf = (suites: Record<string, FakeSuite>): Promise<Map<string, Buffer>> => archiveFiles(suites, archiveKey);

function refreshChannel(
  root: string,
  name: string,
  access: ArchiveAccess,
  wanted: Wanted,
  names: readonly string[] = [],
): Promise<Refresh> {
  const releases = (): never => assert.fail("no component here is released by its author");
  return refresh(root, name, { archive: () => Promise.resolve(access), releases }, wanted, names);
}

async function lockChannel(
  root: string,
  access: ArchiveAccess,
  wanted: Wanted = all,
  names: readonly string[] = [],
): Promise<Refresh> {
  const refresh = await refreshChannel(root, "debian", access, wanted, names);
  writeChannel(root, refresh.channel);
  return refresh;
}

function reader(files: ReadonlyMap<string, Buffer>): ReadArchive {
  return (where) => {
    const bytes = files.get(where);
    return bytes === undefined ? Promise.reject(new Error(`not served: ${where}`)) : Promise.resolve(bytes);
  };
}

/** An archive as a mirror serves it; `absent` are names of files that its indexes list and it has not. */
const accessTo = (files: ReadonlyMap<string, Buffer>, absent: readonly string[] = []): ArchiveAccess => ({
  read: reader(files),
  has: ({ path: where }) => Promise.resolve(!absent.includes(path.basename(where))),
  keyring: ring,
});

/** The places of this project's channel. */
const { places = {} } = await loadChannel(projectRoot, "debian");

/** Sources of every suite and area: each component in one version, the kernel in four; `more` come on top. */
function sourceIndexes(more: Record<string, string> = {}): Record<string, FakeSuite> {
  const suites: Record<string, FakeSuite> = {};
  for (const suite of new Set(Object.values(places).flatMap((place) => place.suites))) {
    const indexes: Record<string, string> = { "main/binary-amd64/Packages": "" };
    for (const area of ["main", "contrib"]) indexes[`${area}/source/Sources`] = more[`${suite} ${area}`] ?? "";
    suites[suite] = { indexes };
  }
  for (const { suites: from, area = "main", package: name, series = "1." } of Object.values(places)) {
    const { indexes } = suites[from[0] as string] as FakeSuite;
    const versions =
      name === "linux" ? ["6.12.9-1", "6.12.95-1~bpo12+1", "6.5.10-1", "7.1.2-1"] : [`1:${series}5+dfsg-2`];
    const index = `${area}/source/Sources`;
    indexes[index] = (indexes[index] ?? "") + versions.map((version) => sourceParagraph(name, version)).join("");
  }
  return suites;
}

const debPackage = (name: string, version: string, needs = ""): string =>
  `Package: ${name}\nVersion: ${version}\n${needs}Filename: pool/${name}_${version}.deb\nSize: 7\nSHA256: ${hashOf(name + version)}`;

/** An archive that has every component, and two packages for a seed. */
async function wholeArchive(
  more: Record<string, string> = {},
  packages: Record<string, readonly string[]> = {},
): Promise<Map<string, Buffer>> {
  const suites = sourceIndexes(more);
  const seed = { bookworm: [debPackage("bash", "5.2", "Depends: libc6\n"), debPackage("libc6", "2.36")], ...packages };
  for (const [suite, list] of Object.entries(seed))
    (suites[suite] as FakeSuite).indexes["main/binary-amd64/Packages"] = list.join("\n\n");
  return filesOf(suites);
}

/** A project whose channels were locked once upon a time. */
function project(t: TestContext, changes: Partial<Channel> = {}): string {
  const root = mkdtempSync(path.join(tmpdir(), "anvil-lock-test-"));
  t.after(() => rmSync(root, { recursive: true }));
  mkdirSync(path.join(root, "channels"));
  const channel = {
    name: "debian",
    description: "kept",
    default: true,
    epoch: 1,
    places,
    components: { linux: pin("6.1"), gone: pin("6.1") },
  };
  writeFileSync(path.join(root, "channels/debian.json"), JSON.stringify({ ...channel, ...changes }));
  writeFileSync(path.join(root, "channels/seed.json"), "{}");
  return root;
}

const pin = (version: string, more: Partial<Component> = {}): Component => ({
  version,
  archive: "pool/main/old.tar.xz",
  sha256: hashOf(version),
  size: 700,
  verified: "recorded",
  licence: "x",
  ...more,
});

const unpinned = { name: "debian", places, components: {} };
const seeds = [{ name: "base", packages: ["bash"] }];
const all: Wanted = { components: Object.keys(places), seeds };

test("a lock takes the newest version of each component within its series, and the closure of the seeds", async (t) => {
  const root = project(t);
  const { changes } = await lockChannel(root, accessTo(await wholeArchive()));
  const channel = await loadChannel(root, "debian");
  assert.equal(channel.description, "kept");
  assert.deepEqual(channel.components["linux"], {
    version: "6.12.95",
    archive: "pool/main/linux/linux_6.12.95.orig.tar.xz",
    sha256: hashOf("6.12.95"),
    size: 700,
    verified: "signed",
    licence: "GPL-2.0-only WITH Linux-syscall-note",
  });
  assert.equal(channel.components["gmp"]?.version, "1.5");
  assert.deepEqual(Object.keys(channel.components), Object.keys(places).sort());
  assert.deepEqual(
    channel.seeds["base"]?.map((each) => [each.package, each.verified]),
    [
      ["bash", "signed"],
      ["libc6", "signed"],
    ],
  );
  const change = (name: string): (string | undefined)[] => {
    const found = changes.find((each) => each.name === name);
    return [found?.before?.version, found?.after?.version];
  };
  assert.deepEqual(change("linux"), ["6.1", "6.12.95"]);
  assert.deepEqual(change("gone"), ["6.1", undefined]);
  assert.deepEqual(change("seed base: bash"), [undefined, "5.2"]);
});

test("the clock of the steps stays, whatever is locked", async (t) => {
  const root = project(t);
  await lockChannel(root, accessTo(await wholeArchive()));
  assert.equal((await loadChannel(root, "debian")).epoch, 1);
});

test("a seed alone can be locked: components and the other seeds stay", async (t) => {
  const root = project(t);
  const before = await loadChannel(root, "debian");
  const both = { ...all, seeds: [...seeds, { name: "other", packages: ["libc6"] }] };
  const { channel } = await refreshChannel(root, "debian", accessTo(await wholeArchive()), both, ["seed-other"]);
  assert.deepEqual({ ...channel, seeds: {}, suites: {} }, { ...before, seeds: {}, suites: {} });
  assert.deepEqual(Object.keys(channel.seeds), ["other"]);
  assert.deepEqual(
    channel.seeds["other"]?.map((each) => each.package),
    ["libc6"],
  );
});

test("what recipes need is not dropped: seeds as they name them, and components that no archive has", async (t) => {
  const root = project(t, { components: { linux: pin("6.1"), own: pin("3"), unused: pin("4") } });
  const wanted = {
    components: ["linux", "own", "of-another-channel"],
    seeds: [...seeds, { name: "later", packages: ["libc6"] }],
  };
  const { notes } = await lockChannel(root, accessTo(await wholeArchive()), wanted);
  const channel = await loadChannel(root, "debian");
  assert.deepEqual(Object.keys(channel.components), ["linux", "own"]);
  assert.deepEqual(channel.components["own"], pin("3"));
  assert.deepEqual(Object.keys(channel.seeds), ["base", "later"]);
  assert.deepEqual(
    notes.map(({ name }) => name),
    ["own"],
  );
});

test("a component that recipes need and the archive lists no more is a fault: nothing is written", async (t) => {
  const root = project(t);
  const suites = sourceIndexes();
  const { indexes } = suites["trixie"] as FakeSuite;
  indexes["main/source/Sources"] = (indexes["main/source/Sources"] ?? "").replace("Package: zlib\n", "Package: zlob\n");
  (suites["bookworm"] as FakeSuite).indexes["main/binary-amd64/Packages"] = debPackage("bash", "5.2");
  const before = readFileSync(path.join(root, "channels/debian.json"));
  await assert.rejects(lockChannel(root, accessTo(await filesOf(suites))), {
    code: "E_COMPONENT",
    message: /trixie, trixie-security main: no source package zlib/,
  });
  assert.deepEqual(readFileSync(path.join(root, "channels/debian.json")), before);
});

test("a release file older than the one seen before is refused, and the newest date is kept", async (t) => {
  const seen = { trixie: "2026-07-11T10:16:37Z", bookworm: "2020-01-01T00:00:00Z", other: "2026-01-01T00:00:00Z" };
  const root = project(t, { suites: seen });
  const files = await wholeArchive();
  const { newer } = await lockChannel(root, accessTo(files));
  assert.equal(newer, true);
  const { suites = {} } = await loadChannel(root, "debian");
  assert.equal(suites["bookworm"], "2026-07-11T10:16:37Z");
  assert.equal(suites["other"], "2026-01-01T00:00:00Z");
  assert.ok("bookworm-security" in suites);
  const late = project(t, { suites: { trixie: "2026-07-11T10:16:38Z" } });
  await assert.rejects(lockChannel(late, accessTo(files)), {
    code: "E_ARCHIVE_OLD",
    message: /dists\/trixie\/InRelease/,
    details: ["here 2026-07-11T10:16:37Z", "seen 2026-07-11T10:16:38Z (suites in channels/debian.json)"],
  });
  assert.deepEqual((await loadChannel(late, "debian")).suites, { trixie: "2026-07-11T10:16:38Z" });
});

test("a mirror that is behind is passed over where another one is not", async (t) => {
  const root = project(t, { suites: { trixie: "2026-07-11T10:16:37Z" } });
  const files = await wholeArchive();
  const old = await filesOf({
    trixie: {
      release: "Codename: trixie\nDate: Fri, 10 Jul 2026 10:16:37 UTC",
      indexes: { "main/source/Sources": sourceParagraph("zlib", "0.1-1") },
    },
    "trixie-security": { indexes: { "main/source/Sources": "" } },
  });
  const access = { ...accessTo(files), mirrors: [reader(old), reader(files)] };
  const { channel } = await refreshChannel(root, "debian", access, all, ["zlib"]);
  assert.equal(channel.components["zlib"]?.version, "1.5");
  await assert.rejects(refreshChannel(root, "debian", { ...access, mirrors: [reader(old)] }, all, ["zlib"]), {
    code: "E_ARCHIVE_OLD",
  });
});

test("a lower version needs the component's name", async (t) => {
  const root = project(t, { components: { linux: pin("6.12.100"), zlib: pin("1.4") } });
  const files = await wholeArchive();
  const { notes, changes } = await lockChannel(root, accessTo(files), { components: ["linux", "zlib"], seeds: [] });
  assert.deepEqual((await loadChannel(root, "debian")).components["linux"], pin("6.12.100"));
  assert.match(notes.find(({ name }) => name === "linux")?.why ?? "", /6\.12\.95 in trixie is lower than the pin/);
  assert.deepEqual(
    changes.map(({ name }) => name),
    ["zlib"],
  );
  await lockChannel(root, accessTo(files), all, ["linux"]);
  assert.equal((await loadChannel(root, "debian")).components["linux"]?.version, "6.12.95");
});

test("what a suite's security updates have is newer; the file in the suite itself is preferred", async (t) => {
  const root = project(t);
  const updates = { pool: "pool/updates/main" };
  const files = await wholeArchive({
    "trixie-security main":
      sourceParagraph("zlib", "1:1.6-1", updates) + sourceParagraph("gmp", "1:1.5+dfsg-2+deb13u1", updates),
  });
  const { channel } = await refreshChannel(root, "debian", accessTo(files), all);
  assert.equal(channel.components["zlib"]?.archive, "pool/updates/main/zlib/zlib_1.6.orig.tar.xz");
  assert.equal(channel.components["gmp"]?.archive, "pool/main/gmp/gmp_1.5+dfsg.orig.tar.xz");
});

test("a version whose file no mirror has is not pinned, but told", async (t) => {
  const root = project(t, { components: { linux: pin("6.12.9") } });
  const access = accessTo(await wholeArchive(), ["linux_6.12.95.orig.tar.xz"]);
  const { channel, notes } = await refreshChannel(root, "debian", access, all, ["linux"]);
  assert.equal(channel.components["linux"]?.version, "6.12.9");
  assert.equal(channel.components["linux"].verified, "signed", "the index lists what was recorded");
  assert.deepEqual(notes, [
    { name: "linux", why: "6.12.95 is listed in trixie, but no mirror has linux_6.12.95.orig.tar.xz" },
  ]);
  const none = accessTo(await wholeArchive(), ["zlib_1.5+dfsg.orig.tar.xz"]);
  await assert.rejects(refreshChannel(root, "debian", none, all, ["zlib"]), {
    code: "E_COMPONENT",
    message: /no mirror has/,
  });
});

test("a seed takes security updates, and of those only what a mirror has", async (t) => {
  const root = project(t);
  const files = await wholeArchive(
    {},
    { "bookworm-security": [debPackage("bash", "5.3", "Depends: libc6\n"), debPackage("libc6", "2.37")] },
  );
  const versions = async (absent: readonly string[]): Promise<(string | undefined)[]> => {
    const { channel } = await refreshChannel(root, "debian", accessTo(files, absent), all, ["seed-base"]);
    return (channel.seeds["base"] ?? []).map(({ version }) => version);
  };
  assert.deepEqual(await versions([]), ["5.3", "2.37"]);
  assert.deepEqual(await versions(["libc6_2.37.deb"]), ["5.3", "2.36"]);
  await assert.rejects(versions(["libc6_2.37.deb", "libc6_2.36.deb"]), {
    code: "E_PACKAGE",
    details: ["listed, but no mirror has pool/libc6_2.37.deb", "listed, but no mirror has pool/libc6_2.36.deb"],
  });
});

const patchesOf = (packaging: Buffer, version: string, files: readonly string[]): Patches => ({
  archive: `pool/main/musl/musl_${version}.debian.tar.gz`,
  sha256: hashOf(packaging),
  size: packaging.length,
  verified: "signed",
  files,
});

test("patches follow the newest packaging archive of the pinned version, with the fixes that it has beside", async (t) => {
  const first = await packagingWith({ "patches/series": "qsort.patch\n" });
  const second = await packagingWith({
    "patches/series": "# comment\nown-paths.patch\nCVE-2026-1234.patch -p1\n\nqsort.patch\niconv.patch # upstream\n",
    "patches/own-paths.patch": "about paths\n--- a/x\n+++ b/x\n",
    "patches/iconv.patch": "Bug: CVE-2026-9999\n--- a/x\n+++ b/x\n",
    "patches/qsort.patch": "about sorting\n--- a/CVE-2026-0000\n",
  });
  const other = patchesOf(first, "9.9-1", ["patches/borrowed.patch"]);
  const pinned = pin("1.5", { patches: [patchesOf(first, "1.5-2", ["patches/qsort.patch"]), other] });
  const root = project(t, { components: { musl: pinned } });
  const sources =
    sourceParagraph("musl", "1.5-3", { packaging: second }) + sourceParagraph("musl", "1.5-2", { packaging: first });
  const suites = sourceIndexes();
  const { indexes } = suites["trixie"] as FakeSuite;
  indexes["main/source/Sources"] =
    (indexes["main/source/Sources"] ?? "").replace(/Package: musl\n[^]*?\n\n/, "") + sources;
  const files = await filesOf(suites);
  files.set("pool/main/musl/musl_1.5-3.debian.tar.gz", second);
  const wanted = { components: ["musl"], seeds: [] };
  const { channel, changes } = await refreshChannel(root, "debian", accessTo(files), wanted);
  assert.deepEqual(channel.components["musl"]?.patches, [
    patchesOf(second, "1.5-3", ["patches/CVE-2026-1234.patch", "patches/qsort.patch", "patches/iconv.patch"]),
    other,
  ]);
  assert.ok(changes.some(({ name, after }) => name === "musl patches 1" && after?.version === "1.5-3"));
  const absent = accessTo(files, ["musl_1.5-3.debian.tar.gz"]);
  const unchanged = await refreshChannel(root, "debian", absent, wanted);
  assert.deepEqual(unchanged.channel.components["musl"]?.patches, pinned.patches);
  assert.match(unchanged.notes[0]?.why ?? "", /no mirror has musl_1\.5-3\.debian\.tar\.gz/);
});

test("a patch that the archive has no longer is given up only for a component that is named", async (t) => {
  const first = await packagingWith({ "patches/series": "qsort.patch\n" });
  const second = await packagingWith({ "patches/series": "paths.patch\n" });
  const pinned = pin("1.5", { patches: [patchesOf(first, "1.5-2", ["patches/qsort.patch"])] });
  const root = project(t, { components: { musl: pinned } });
  const suites = sourceIndexes();
  const { indexes } = suites["trixie"] as FakeSuite;
  indexes["main/source/Sources"] =
    (indexes["main/source/Sources"] ?? "").replace(/Package: musl\n[^]*?\n\n/, "") +
    sourceParagraph("musl", "1.5-3", { packaging: second });
  const files = await filesOf(suites);
  files.set("pool/main/musl/musl_1.5-3.debian.tar.gz", second);
  const kept = await refreshChannel(root, "debian", accessTo(files), { components: ["musl"], seeds: [] });
  assert.deepEqual(kept.channel.components["musl"]?.patches, pinned.patches);
  assert.match(kept.notes[0]?.why ?? "", /no longer patches\/qsort\.patch: the pinned archive is kept/);
  const named = await refreshChannel(root, "debian", accessTo(files), all, ["musl"]);
  assert.equal(named.channel.components["musl"]?.patches, undefined);
  assert.match(named.notes[0]?.why ?? "", /given up/);
});

test("a second lock changes no byte", async (t) => {
  const root = project(t);
  const files = await wholeArchive();
  await lockChannel(root, accessTo(files));
  const read = (): string[] =>
    ["debian.json", "seed.json"].map((name) => readFileSync(path.join(root, "channels", name), "utf8"));
  const before = read();
  const { changes, newer } = await lockChannel(root, accessTo(files));
  assert.deepEqual([changes, newer], [[], false]);
  assert.deepEqual(read(), before);
  assert.deepEqual(readdirSync(path.join(root, "channels")).sort(), ["debian.json", "seed.json"]);
});

test("nothing is written when one component cannot be locked", async (t) => {
  const root = project(t);
  cpSync(path.join(root, "channels"), path.join(root, "before"), { recursive: true });
  const files = await wholeArchive();
  files.delete("dists/trixie/InRelease");
  await assert.rejects(lockChannel(root, accessTo(files)), /not served/);
  for (const name of ["debian.json", "seed.json"]) {
    assert.deepEqual(readFileSync(path.join(root, "channels", name)), readFileSync(path.join(root, "before", name)));
  }
});

test("one component can be looked up; an unknown or absent one is a fault", async () => {
  const archive = new Archive(accessTo(await wholeArchive()), unpinned);
  assert.equal((await lockComponent(archive, unpinned, "zlib")).pin.version, "1.5");
  await assert.rejects(lockComponent(archive, unpinned, "emacs"), { code: "E_COMPONENT", hint: /linux, zfs/ });
});

test("a release file counts only with a good signature of a known key", async () => {
  const sources = { "main/source/Sources": sourceParagraph("zlib", "1-1") };
  const lock = async (change: Partial<FakeSuite>, edit = (text: string): string => text): Promise<unknown> => {
    const files = await filesOf({
      trixie: { indexes: sources, ...change },
      "trixie-security": { indexes: { "main/source/Sources": "" } },
    });
    const where = "dists/trixie/InRelease";
    files.set(where, Buffer.from(edit(files.get(where)?.toString() ?? "")));
    return lockComponent(new Archive(accessTo(files), unpinned), unpinned, "zlib");
  };
  await lock({ signers: [strangerKey, archiveKey] });
  const refused = { code: "E_SIGNATURE" };
  await assert.rejects(lock({ signers: [strangerKey] }), refused);
  await assert.rejects(
    lock({}, (text) => text.replace("oldstable", "stable")),
    refused,
  );
  await assert.rejects(
    lock({}, () => "Suite: trixie\n"),
    refused,
  );
  const valid = "Codename: trixie\nDate: Sat, 11 Jul 2026 10:16:37 UTC\nValid-Until:";
  await assert.rejects(lock({ release: "Codename: bookworm\nDate: Sat, 11 Jul 2026 10:16:37 UTC" }), refused);
  await assert.rejects(lock({ release: `${valid} Sun, 12 Jul 2020 10:16:37 UTC` }), { code: "E_ARCHIVE_EXPIRED" });
  await lock({ release: `${valid} Sun, 12 Jul 2999 10:16:37 UTC` });
});

test("a release file that is no longer valid counts where that is accepted, and is told", async (t) => {
  const root = project(t);
  const files = await filesOf({
    trixie: {
      release: "Codename: trixie\nDate: Sat, 11 Jul 2026 10:16:37 UTC\nValid-Until: Sun, 12 Jul 2020 10:16:37 UTC",
      indexes: { "main/source/Sources": sourceParagraph("zlib", "1.3-1") },
    },
    "trixie-security": { indexes: { "main/source/Sources": "" } },
  });
  await assert.rejects(refreshChannel(root, "debian", accessTo(files), all, ["zlib"]), {
    code: "E_ARCHIVE_EXPIRED",
    message: "dists/trixie/InRelease was valid until Sun, 12 Jul 2020 10:16:37 UTC",
  });
  const access = { ...accessTo(files), acceptExpired: true };
  const { channel, notes } = await refreshChannel(root, "debian", access, all, ["zlib"]);
  assert.equal(channel.components["zlib"]?.version, "1.3");
  assert.deepEqual(
    notes.map(({ why }) => why),
    ["dists/trixie/InRelease was valid until Sun, 12 Jul 2020 10:16:37 UTC: what it lists may be superseded"],
  );
});

test("a channel is filled from its places; the seeds, which all share, stay with the default one", async (t) => {
  const root = project(t, { seeds: {} });
  const next = { name: "next", description: "new", epoch: 1, components: {}, places: { zlib: places["zlib"] } };
  writeFileSync(path.join(root, "channels/next.json"), JSON.stringify(next));
  const { channel, changes } = await refreshChannel(root, "next", accessTo(await wholeArchive()), all);
  assert.deepEqual(
    changes.map(({ name }) => name),
    ["zlib"],
  );
  assert.equal(channel.components["zlib"]?.version, "1.5");
  writeChannel(root, channel);
  assert.deepEqual((await loadChannel(root, "next")).places, next.places);
  const upstream = { ...next, name: "upstream", places: undefined };
  writeFileSync(path.join(root, "channels/upstream.json"), JSON.stringify(upstream));
  await assert.rejects(refreshChannel(root, "upstream", accessTo(await wholeArchive()), all), {
    code: "E_COMPONENT",
    message: "channel upstream says of nothing where it comes from",
  });
});

test("only what is signed is handed on", async () => {
  const message = await signed("Codename: trixie\n", archiveKey);
  for (const text of [message, `Codename: sid\n\n${message}`, `${message}\nCodename: sid\n`]) {
    const found = await verifyCleartext(text, ring, "InRelease").catch((error: unknown) => error);
    if (found instanceof Fault) assert.equal(found.code, "E_SIGNATURE");
    else assert.equal((found as SignedText).text.trim(), "Codename: trixie");
  }
});

test("over HTTP an index must be the one that the release file lists; the next mirror is asked", async (t) => {
  const files = await filesOf({
    trixie: { indexes: { "main/source/Sources": sourceParagraph("zlib", "1.3-1") } },
    "trixie-security": { indexes: { "main/source/Sources": "" } },
  });
  const answer = (served: ReadonlyMap<string, Buffer>) =>
    serve(t, (request, response) => {
      const bytes = served.get((request.url ?? "").replace(/^\/debian(?:-security)?\//, ""));
      (bytes === undefined ? status(404) : file(bytes))(request, response);
    });
  const index = "dists/trixie/main/source/Sources.gz";
  const [stale, good] = await Promise.all([
    answer(new Map([...files, [index, gzipSync(sourceParagraph("zlib", "0.1-1"))]])),
    answer(files),
  ]);
  const roots = [stale, good].map(({ root }) => `${root}/debian`);
  const overHttp = (from: readonly string[]): Archive =>
    new Archive({ read: mirrorReader(mirrorsAt(from)), keyring: ring }, unpinned);
  assert.equal((await lockComponent(overHttp(roots), unpinned, "zlib")).pin.version, "1.3");
  await assert.rejects(lockComponent(overHttp(roots.slice(0, 1)), unpinned, "zlib"), {
    code: "E_SOURCE_HASH",
    message: /Sources\.gz/,
  });
});

test("keys come from the first root that has a keyring of the archive", async (t) => {
  const root = project(t);
  const folder = path.join(root, "usr/share/keyrings");
  mkdirSync(folder, { recursive: true });
  await assert.rejects(debianKeyring(root), {
    code: "E_KEYRING",
    details: [`looked for debian-archive-*.gpg in ${folder}`],
  });
  writeFileSync(path.join(folder, "vendor.gpg"), archiveKey.publicKey);
  writeFileSync(path.join(folder, "debian-archive-removed-keys.gpg"), archiveKey.publicKey);
  await assert.rejects(debianKeyring(root), { code: "E_KEYRING" });
  writeFileSync(path.join(folder, "debian-archive-keyring.gpg"), archiveKey.publicKey);
  const found = await debianKeyring(path.join(root, "absent"), root);
  assert.equal(found.keys[0]?.getFingerprint(), archiveKey.key.getFingerprint());
  writeFileSync(path.join(folder, "debian-archive-keyring.gpg"), "no keyring");
  await assert.rejects(debianKeyring(root), { code: "E_KEYRING", message: /is not an OpenPGP keyring/ });
});

test(
  "the keyring of this machine can be read",
  { skip: !existsSync("/usr/share/keyrings/debian-archive-keyring.gpg") },
  async () => {
    assert.ok((await debianKeyring("/")).keys.length > 1);
  },
);

test("whether a mirror has a file is asked for with the name and password of its URL, and of each mirror", async (t) => {
  const asked: string[] = [];
  const { root } = await serve(t, (request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers.authorization ?? "nobody"}`);
    status(request.url === "/second/pool/a" ? 200 : 404)(request, response);
  });
  const withPassword = `${root.replace("://", "://name:p%40ss@")}/first`;
  const has = mirrorHas(mirrorsAt([withPassword, `${root}/second`]));
  assert.equal(await has({ path: "pool/a" }), true);
  assert.equal(await has({ path: "pool/b" }), false);
  const basic = `Basic ${Buffer.from("name:p@ss").toString("base64")}`;
  assert.deepEqual(asked, [
    `HEAD /first/pool/a ${basic}`,
    "HEAD /second/pool/a nobody",
    `HEAD /first/pool/b ${basic}`,
    "HEAD /second/pool/b nobody",
  ]);
  assert.equal(await mirrorHas(mirrorsAt(["http://127.0.0.1:1"]))({ path: "pool/a" }), false);
});

test("mirrors are asked for release files one by one", () => {
  const mirrors = { archive: ["a", "b"], security: ["a-security", "b-security", "c-security"], isPublic: false };
  assert.deepEqual(
    oneByOne(mirrors).map(({ archive, security }) => [...archive, ...security]),
    [
      ["a", "a-security"],
      ["b", "b-security"],
      ["b", "c-security"],
    ],
  );
});
