import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { createCleartextMessage, generateKey, readPrivateKey, sign, type PrivateKey } from "openpgp";
import { Fault } from "../../src/fault/fault.ts";
import { mirrorReader, type ReadArchive } from "../../src/source/archive-index.ts";
import { loadChannel } from "../../src/source/channel.ts";
import { debianSources } from "../../src/source/debian-sources.ts";
import {
  Archive,
  lockComponents,
  refreshChannel,
  writeChannel,
  type PinChange,
  type SeedNames,
} from "../../src/source/lock.ts";
import { mirrorsAt } from "../../src/source/mirror.ts";
import { debianKeyring, keyringOf, verifyCleartext, type SignedText } from "../../src/source/openpgp.ts";
import { file, serve, status } from "./http-server.ts";

interface Signer {
  readonly key: PrivateKey;
  readonly publicKey: string;
}

async function newSigner(): Promise<Signer> {
  const pair = await generateKey({ userIDs: [{ name: "archive" }] });
  return { key: await readPrivateKey({ armoredKey: pair.privateKey }), publicKey: pair.publicKey };
}

const [archiveKey, strangerKey] = await Promise.all([newSigner(), newSigner()]);
const ring = await keyringOf(archiveKey.publicKey);

async function signed(text: string, ...signers: Signer[]): Promise<string> {
  const message = await createCleartextMessage({ text });
  return sign({ message, signingKeys: signers.map(({ key }) => key) });
}

async function lockChannel(root: string, archive: Archive, seeds: SeedNames): Promise<readonly PinChange[]> {
  const { channel, changes } = await refreshChannel(root, archive, seeds);
  await writeChannel(root, channel);
  return changes;
}

const hashOf = (data: string | Buffer): string => createHash("sha256").update(data).digest("hex");

interface FakeSuite {
  readonly release?: string;
  readonly signers?: readonly Signer[];
  /** Plain indexes by path. */
  readonly indexes: Record<string, string>;
}

/** The files of an archive with these suites, by path. */
async function archiveFiles(suites: Record<string, FakeSuite>): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const [name, { release, signers = [archiveKey], indexes }] of Object.entries(suites)) {
    const lines: string[] = [];
    for (const [index, text] of Object.entries(indexes)) {
      const packed = gzipSync(text);
      files.set(`dists/${name}/${index}.gz`, packed);
      lines.push(` ${hashOf(text)} ${text.length} ${index}`, ` ${hashOf(packed)} ${packed.length} ${index}.gz`);
    }
    const head = release ?? `Suite: oldstable\nCodename: ${name}\nDate: Sat, 11 Jul 2026 10:16:37 UTC`;
    const text = `${head}\nSHA256:\n${lines.join("\n")}\n`;
    files.set(`dists/${name}/InRelease`, Buffer.from(await signed(text, ...signers)));
  }
  return files;
}

function reader(files: ReadonlyMap<string, Buffer>): ReadArchive {
  return (where) => {
    const bytes = files.get(where);
    return bytes === undefined ? Promise.reject(new Error(`not served: ${where}`)) : Promise.resolve(bytes);
  };
}

function sourceParagraph(name: string, version: string): string {
  const [upstream] = version.replace(/^\d+:/, "").split("-");
  const files = [`${hashOf(version)} 700 ${name}_${upstream}.orig.tar.xz`, `${hashOf("x")} 5 ${name}_${version}.dsc`];
  return [
    `Package: ${name}`,
    `Version: ${version}`,
    `Directory: pool/main/${name}`,
    "Checksums-Sha256:",
    ...files.map((line) => ` ${line}`),
    "",
    "",
  ].join("\n");
}

/** An archive that has every component, the kernel in three versions, and one package for a seed. */
async function wholeArchive(): Promise<Map<string, Buffer>> {
  const suites: Record<string, FakeSuite> = {};
  for (const { suite, area, package: name } of Object.values(debianSources)) {
    const { indexes } = (suites[suite] ??= { indexes: {} });
    const index = `${area}/source/Sources`;
    const versions = name === "linux" ? ["6.12.9-1", "6.12.95-1~bpo12+1", "6.5.10-1"] : ["1:1.5+dfsg-2"];
    indexes[index] = (indexes[index] ?? "") + versions.map((version) => sourceParagraph(name, version)).join("");
  }
  (suites["bookworm"] as FakeSuite).indexes["main/binary-amd64/Packages"] = [
    "Package: bash\nVersion: 5.2\nDepends: libc6\nFilename: pool/bash.deb\nSize: 7\nSHA256: " + hashOf("bash"),
    "Package: libc6\nVersion: 2.36\nFilename: pool/libc6.deb\nSize: 8\nSHA256: " + hashOf("libc6"),
  ].join("\n\n");
  return archiveFiles(suites);
}

/** A project whose channels were locked once upon a time. */
function project(t: TestContext): string {
  const root = mkdtempSync(path.join(tmpdir(), "anvil-lock-test-"));
  t.after(() => rmSync(root, { recursive: true }));
  mkdirSync(path.join(root, "channels"));
  const old = { version: "6.1", archive: "pool/linux.tar.xz", sha256: hashOf("old"), verified: "signed", licence: "x" };
  const channel = { name: "debian", description: "kept", epoch: 1, components: { linux: old, gone: old } };
  writeFileSync(path.join(root, "channels/debian.json"), JSON.stringify(channel));
  writeFileSync(path.join(root, "channels/seed.json"), "{}");
  return root;
}

const seeds = [{ name: "base", packages: ["bash"] }];

test("a lock takes the newest version of each component, the closure of the seeds and the date of their suite", async (t) => {
  const root = project(t);
  const archive = new Archive(reader(await wholeArchive()), ring);
  const changes = await lockChannel(root, archive, seeds);
  const channel = await loadChannel(root, "debian");
  assert.equal(channel.description, "kept");
  assert.equal(channel.epoch, Date.UTC(2026, 6, 11, 10, 16, 37) / 1000);
  assert.deepEqual(channel.components["linux"], {
    version: "6.12.95",
    archive: "pool/main/linux/linux_6.12.95.orig.tar.xz",
    sha256: hashOf("6.12.95-1~bpo12+1"),
    size: 700,
    verified: "signed",
    licence: "GPL-2.0-only WITH Linux-syscall-note",
  });
  assert.equal(channel.components["gmp"]?.version, "1.5");
  assert.deepEqual(Object.keys(channel.components), Object.keys(debianSources).sort());
  assert.deepEqual(
    channel.seeds["base"]?.map((each) => each.package),
    ["bash", "libc6"],
  );
  const change = (name: string): (string | undefined)[] => {
    const found = changes.find((each) => each.name === name);
    return [found?.before?.version, found?.after?.version];
  };
  assert.deepEqual(change("linux"), ["6.1", "6.12.95"]);
  assert.deepEqual(change("gone"), ["6.1", undefined]);
  assert.deepEqual(change("seed base: bash"), [undefined, "5.2"]);
});

test("a seed alone can be locked: components, clock and the other seeds stay", async (t) => {
  const root = project(t);
  const archive = new Archive(reader(await wholeArchive()), ring);
  const before = await loadChannel(root, "debian");
  const both = [...seeds, { name: "other", packages: ["libc6"] }];
  const { channel } = await refreshChannel(root, archive, both, ["seed-other"]);
  assert.deepEqual({ ...channel, seeds: {} }, { ...before, seeds: {} });
  assert.deepEqual(Object.keys(channel.seeds), ["other"]);
  assert.deepEqual(
    channel.seeds["other"]?.map((each) => each.package),
    ["libc6"],
  );
});

test("a second lock changes no byte", async (t) => {
  const root = project(t);
  const files = await wholeArchive();
  await lockChannel(root, new Archive(reader(files), ring), seeds);
  const read = (): string[] =>
    ["debian.json", "seed.json"].map((name) => readFileSync(path.join(root, "channels", name), "utf8"));
  const before = read();
  assert.deepEqual(await lockChannel(root, new Archive(reader(files), ring), seeds), []);
  assert.deepEqual(read(), before);
  assert.deepEqual(readdirSync(path.join(root, "channels")).sort(), ["debian.json", "seed.json"]);
});

test("nothing is written when one component cannot be locked", async (t) => {
  const root = project(t);
  cpSync(path.join(root, "channels"), path.join(root, "before"), { recursive: true });
  const files = await wholeArchive();
  files.delete("dists/trixie/InRelease");
  await assert.rejects(lockChannel(root, new Archive(reader(files), ring), seeds), /not served/);
  for (const name of ["debian.json", "seed.json"]) {
    assert.deepEqual(readFileSync(path.join(root, "channels", name)), readFileSync(path.join(root, "before", name)));
  }
});

test("one component can be looked up; an unknown or absent one is a fault", async () => {
  const archive = new Archive(reader(await wholeArchive()), ring);
  assert.deepEqual(Object.keys(await lockComponents(archive, ["zlib"])), ["zlib"]);
  await assert.rejects(lockComponents(archive, ["emacs"]), { code: "E_COMPONENT", hint: /linux, zfs/ });
  const empty = await archiveFiles({ trixie: { indexes: { "main/source/Sources": sourceParagraph("zsh", "1-1") } } });
  await assert.rejects(lockComponents(new Archive(reader(empty), ring), ["zlib"]), {
    code: "E_COMPONENT",
    message: /trixie main has no source package zlib/,
  });
});

test("a release file counts only with a good signature of a known key", async () => {
  const sources = { "main/source/Sources": sourceParagraph("zlib", "1-1") };
  const lock = async (change: Partial<FakeSuite>, edit = (text: string): string => text): Promise<unknown> => {
    const files = await archiveFiles({ trixie: { indexes: sources, ...change } });
    const where = "dists/trixie/InRelease";
    files.set(where, Buffer.from(edit(files.get(where)?.toString() ?? "")));
    return lockComponents(new Archive(reader(files), ring), ["zlib"]);
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
  await assert.rejects(lock({ release: `${valid} Sun, 12 Jul 2020 10:16:37 UTC` }), refused);
  await lock({ release: `${valid} Sun, 12 Jul 2999 10:16:37 UTC` });
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
  const files = await archiveFiles({
    trixie: { indexes: { "main/source/Sources": sourceParagraph("zlib", "1.3-1") } },
  });
  const answer = (served: ReadonlyMap<string, Buffer>) =>
    serve(t, (request, response) => {
      const bytes = served.get((request.url ?? "").replace("/debian/", ""));
      (bytes === undefined ? status(404) : file(bytes))(request, response);
    });
  const index = "dists/trixie/main/source/Sources.gz";
  const [stale, good] = await Promise.all([
    answer(new Map([...files, [index, gzipSync(sourceParagraph("zlib", "0.1-1"))]])),
    answer(files),
  ]);
  const roots = [stale, good].map(({ root }) => `${root}/debian`);
  const found = await lockComponents(new Archive(mirrorReader(mirrorsAt(roots)), ring), ["zlib"]);
  assert.equal(found["zlib"]?.version, "1.3");
  const only = new Archive(mirrorReader(mirrorsAt(roots.slice(0, 1))), ring);
  await assert.rejects(lockComponents(only, ["zlib"]), { code: "E_SOURCE_HASH", message: /Sources\.gz/ });
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
