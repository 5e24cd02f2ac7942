import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { createCleartextMessage, sign } from "openpgp";
import type { Component, Release } from "../../src/recipe/channel.ts";
import { AuthorKeys } from "../../src/source/author-keys.ts";
import { AuthorSites } from "../../src/source/author-site.ts";
import { lockReleases, releaseNews, type LockedRelease, type Problem } from "../../src/source/releases.ts";
import { hashOf } from "./archive-builder.ts";
import { detached, emptyFolder, filesIn, listing, newAuthor, plantKeys, publish, type Site } from "./author-builder.ts";
import { refusingRoot, status } from "./http-server.ts";

const [author, stranger] = await Promise.all([newAuthor(), newAuthor("Stranger")]);
const keys = [author.fingerprint];

/** `tool`, as a site at `root` publishes it. */
const tool = (root: string, more: Partial<Release> = {}): Release => ({
  list: `${root}/tool/`,
  series: "1.2.",
  urls: [`${root}/tool/tool-{version}.tar.gz`],
  licence: "0BSD",
  ...more,
});

const signature = (root: string, more: Partial<NonNullable<Release["signature"]>> = {}): Partial<Release> => ({
  signature: { url: `${root}/tool/tool-{version}.tar.gz.sig`, keys, ...more },
});

const sums = (root: string): Partial<Release> => ({ sums: { url: `${root}/tool/tool-{version}.sha256` } });

const archive = (version: string): string => `the archive of ${version}`;

const pin = (version: string, more: Partial<Component> = {}): Component => ({
  version,
  urls: [`http://old.example/tool-${version}.tar.gz`],
  sha256: hashOf(archive(version)),
  verified: "recorded",
  licence: "0BSD",
  ...more,
});

/** A site with these versions, signed by the author. */
async function site(...versions: readonly string[]): Promise<Site> {
  const files: Site = { "/tool/": listing(...versions.map((version) => `tool-${version}.tar.gz`)) };
  for (const version of versions) {
    files[`/tool/tool-${version}.tar.gz`] = archive(version);
    files[`/tool/tool-${version}.tar.gz.sig`] = await detached(archive(version), author);
  }
  return files;
}

interface Lock {
  readonly locked: readonly LockedRelease[];
  readonly problems: readonly Problem[];
  readonly sources: string;
}

interface Locking {
  readonly again?: boolean;
  readonly sources?: string;
}

function rig(t: TestContext): { access: ReturnType<typeof accessIn>; sources: string; folder: string } {
  const project = emptyFolder(t);
  plantKeys(project, [author, stranger]);
  const folder = path.join(emptyFolder(t), "run");
  const sources = emptyFolder(t);
  return { access: accessIn(project, sources, folder), sources, folder };
}

const accessIn = (project: string, sources: string, folder: string) => ({
  sites: new AuthorSites({ sources, folder }),
  keys: new AuthorKeys(project),
});

async function lock(
  t: TestContext,
  releases: Record<string, Release>,
  components: Record<string, Component> = {},
  { again = false }: Locking = {},
): Promise<Lock> {
  const { access, sources } = rig(t);
  const found = await lockReleases({ releases, components }, Object.keys(releases), access, { again });
  return { ...found, sources };
}

const only = ({ locked, problems }: Lock): LockedRelease => {
  assert.deepEqual(
    problems.map(({ fault }) => [fault.code, fault.message, ...fault.details]),
    [],
  );
  assert.equal(locked.length, 1);
  return locked[0] as LockedRelease;
};

const problem = ({ locked, problems }: Lock): Problem => {
  assert.equal(problems.length, 1, JSON.stringify(locked));
  return problems[0] as Problem;
};

test("the newest release of the series that its author signed becomes the pin, and is kept for the forge", async (t) => {
  const { root } = await publish(t, await site("1.2.3", "1.2.10", "1.3.0"));
  const found = await lock(t, { tool: tool(root, signature(root)) }, { tool: pin("1.2.3") });
  const { pin: after, evidence, signer } = only(found);
  assert.deepEqual(after, {
    version: "1.2.10",
    urls: [`${root}/tool/tool-1.2.10.tar.gz`],
    sha256: hashOf(archive("1.2.10")),
    size: archive("1.2.10").length,
    verified: "signed",
    signedBy: author.fingerprint,
    licence: "0BSD",
  });
  assert.equal(signer?.key, author.fingerprint);
  assert.equal(signer.origin.package, "tool");
  assert.match(
    evidence.join(),
    new RegExp(`^signed by Author <.*>, key ${author.fingerprint}, as packaged with tool 1-1`),
  );
  assert.deepEqual(filesIn(found.sources), [hashOf(archive("1.2.10"))]);
});

test("a recorded pin becomes a signed one when the signature covers its file, and is doubtful no longer", async (t) => {
  const { root, requests } = await publish(t, await site("1.2.3"));
  const before = pin("1.2.3", { unverified: "nobody knows", archive: "pool/main/tool.orig.tar.gz" });
  const releases = { tool: tool(root, signature(root)) };
  const { pin: after } = only(await lock(t, releases, { tool: before }));
  const { unverified: _gone, licence, ...rest } = before;
  const size = archive("1.2.3").length;
  assert.deepEqual(after, { ...rest, size, verified: "signed", signedBy: author.fingerprint, licence });
  const asked = requests.length;
  assert.deepEqual(only(await lock(t, releases, { tool: after })).pin, after);
  assert.equal(requests.length, asked + 1, "of a signed pin only the list is read");
  assert.deepEqual(only(await lock(t, releases, { tool: after }, { again: true })).pin, after);
  assert.equal(requests.length, asked + 4, "unless it is named");
});

test("what was downloaded before is not downloaded again", async (t) => {
  const { root, requests } = await publish(t, await site("1.2.3"));
  const { access, sources } = rig(t);
  writeFileSync(path.join(sources, hashOf(archive("1.2.3"))), archive("1.2.3"));
  const channel = { releases: { tool: tool(root, signature(root)) }, components: { tool: pin("1.2.3") } };
  const { locked } = await lockReleases(channel, ["tool"], access, { again: false });
  assert.equal(locked[0]?.pin.verified, "signed");
  assert.deepEqual(requests, ["GET /tool/", "GET /tool/tool-1.2.3.tar.gz.sig"]);
});

test("a signature over the unpacked archive, as on kernel.org", async (t) => {
  const files = await site("1.2.3");
  files["/tool/tool-1.2.3.tar.gz"] = gzipSync("the tar");
  files["/tool/tool-1.2.3.tar.gz.sig"] = await detached("the tar", author);
  const { root } = await publish(t, files);
  const releases = { tool: tool(root, signature(root, { of: "unpacked" })) };
  const { pin: after } = only(await lock(t, releases));
  assert.deepEqual([after.verified, after.sha256], ["signed", hashOf(gzipSync("the tar"))]);
});

test("a signature of other bytes or by another key fails, nothing of it is kept, and the others go on", async (t) => {
  const files = await site("1.2.3", "1.2.4");
  files["/tool/tool-1.2.4.tar.gz"] = "something else";
  const { root } = await publish(t, { ...files, ...(await other(files)) });
  const releases = { good: tool(`${root}/good`, signature(`${root}/good`)), tool: tool(root, signature(root)) };
  const found = await lock(t, releases, { tool: pin("1.2.3") });
  const { name, fault } = problem(found);
  assert.deepEqual([name, fault.code], ["tool", "E_SIGNATURE"]);
  assert.match(fault.details.join(), /digest did not match.*may sign: Author/);
  assert.deepEqual(
    found.locked.map((each) => each.name),
    ["good"],
  );
  assert.deepEqual(filesIn(found.sources), [hashOf(archive("1.2.3"))]);
  files["/tool/tool-1.2.4.tar.gz.sig"] = await detached("something else", stranger);
  const again = await publish(t, files);
  const byAnother = problem(await lock(t, { tool: tool(again.root, signature(again.root)) }));
  assert.equal(byAnother.fault.code, "E_SIGNATURE");
  assert.match(byAnother.fault.details.join(), /not one of those that may sign this/);
});

/** The oldest version of a site below another folder. */
const other = (files: Site): Promise<Site> =>
  Promise.resolve({
    "/good/tool/": listing("tool-1.2.3.tar.gz"),
    "/good/tool/tool-1.2.3.tar.gz": files["/tool/tool-1.2.3.tar.gz"] as string,
    "/good/tool/tool-1.2.3.tar.gz.sig": files["/tool/tool-1.2.3.tar.gz.sig"] as string,
  });

test("a release without its signature or its archive is passed over, and told", async (t) => {
  const files = await site("1.2.3", "1.2.4", "1.2.5", "1.2.6");
  delete files["/tool/tool-1.2.6.tar.gz.sig"];
  delete files["/tool/tool-1.2.5.tar.gz"];
  const { root } = await publish(t, files);
  const { pin: after, notes } = only(await lock(t, { tool: tool(root, signature(root)) }, { tool: pin("1.2.3") }));
  assert.equal(after.version, "1.2.4");
  assert.deepEqual(notes, [
    `1.2.6 is listed, but there is no ${root}/tool/tool-1.2.6.tar.gz.sig`,
    `1.2.5 is listed, but there is no ${root}/tool/tool-1.2.5.tar.gz`,
  ]);
});

test("a pin is never lowered, and one whose signature is not there stays as it is", async (t) => {
  const files = await site("1.2.3");
  const { root } = await publish(t, files);
  const before = pin("1.2.9");
  const { pin: after, notes } = only(await lock(t, { tool: tool(root, signature(root)) }, { tool: before }));
  assert.deepEqual(after, before);
  assert.deepEqual(notes, [`1.2.9 is pinned, but there is no ${root}/tool/tool-1.2.9.tar.gz.sig`]);
});

test("a plain list of checksums makes a recorded pin, a signed one a signed pin", async (t) => {
  const files = await site("1.2.3", "1.2.4");
  const list = `${hashOf(archive("1.2.3"))}  tool-1.2.3.tar.gz\n${hashOf(archive("1.2.4"))}  tool-1.2.4.tar.gz\n`;
  const message = await createCleartextMessage({ text: list });
  files["/sums"] = list;
  files["/sums.asc"] = await sign({ message, signingKeys: author.key });
  const { root } = await publish(t, files);
  const plain = only(await lock(t, { tool: tool(root, { sums: { url: `${root}/sums` } }) }, { tool: pin("1.2.3") }));
  assert.deepEqual([plain.pin.version, plain.pin.verified, plain.pin.unverified], ["1.2.4", "recorded", undefined]);
  assert.deepEqual(plain.evidence, [`as listed in ${root}/sums`]);
  const releases = { tool: tool(root, { sums: { url: `${root}/sums.asc`, keys } }) };
  const signed = only(await lock(t, releases, { tool: pin("1.2.3") }));
  assert.deepEqual([signed.pin.verified, signed.pin.signedBy], ["signed", author.fingerprint]);
  const byAnother = { tool: tool(root, { sums: { url: `${root}/sums.asc`, keys: [stranger.fingerprint] } }) };
  assert.equal(problem(await lock(t, byAnother)).fault.code, "E_SIGNATURE");
});

test("a pin that its author lists with another hash fails, and so does an archive that is not as listed", async (t) => {
  const files = await site("1.2.3");
  files["/tool/tool-1.2.3.sha256"] = hashOf("what the author made");
  const { root } = await publish(t, files);
  const releases = { tool: tool(root, sums(root)) };
  const pinned = problem(await lock(t, releases, { tool: pin("1.2.3") }));
  assert.equal(pinned.fault.code, "E_SOURCE_HASH");
  assert.match(
    pinned.fault.details.join(),
    new RegExp(`${hashOf(archive("1.2.3"))}.*${hashOf("what the author made")}`),
  );
  const unpinned = await lock(t, releases);
  assert.equal(problem(unpinned).fault.code, "E_SOURCE_HASH");
  assert.deepEqual(filesIn(unpinned.sources), []);
});

test("an author's site with another file than the pinned one fails", async (t) => {
  const files = await site("1.2.3");
  const { root } = await publish(t, files);
  const before = pin("1.2.3", { sha256: hashOf("another") });
  const { fault } = problem(await lock(t, { tool: tool(root, signature(root)) }, { tool: before }));
  assert.deepEqual(
    [fault.code, fault.message],
    ["E_SOURCE_HASH", "tool 1.2.3: its author's site has another file than is pinned"],
  );
});

test("without signature and checksum two places have to agree, and one alone is doubtful", async (t) => {
  const files = await site("1.2.4");
  const [first, second, third] = await Promise.all([
    publish(t, files),
    publish(t, files),
    publish(t, { "/tool/tool-1.2.4.tar.gz": "another" }),
  ]);
  const at = (...sites: readonly { readonly root: string }[]): Record<string, Release> => ({
    tool: tool(first.root, { urls: sites.map(({ root }) => `${root}/tool/tool-{version}.tar.gz`) }),
  });
  const hosts = [first, second].map(({ root }) => new URL(root).host);
  const agreed = only(await lock(t, at(first, second)));
  assert.deepEqual([agreed.pin.verified, agreed.pin.unverified], ["recorded", undefined]);
  assert.deepEqual(agreed.evidence, [`the same file at ${hosts.join(" and ")}`]);
  const doubt = `downloaded from ${hosts[0]} alone: no signature, checksum or second place vouches for it`;
  assert.equal(only(await lock(t, at(first))).pin.unverified, doubt);
  const silent = { root: await refusingRoot() };
  assert.equal(only(await lock(t, at(silent, first))).pin.unverified, doubt, "the same place twice is one");
  assert.equal(problem(await lock(t, at(first, third))).fault.code, "E_SOURCE_HASH");
});

test("a pin without a hash gets it from the author, and stays doubtful", async (t) => {
  const { root } = await publish(t, await site("1.2.3"));
  const { sha256: _unknown, ...before } = pin("1.2.3", { unverified: "nobody has recorded a hash" });
  const { pin: after } = only(await lock(t, { tool: tool(root) }, { tool: before }));
  assert.equal(after.sha256, hashOf(archive("1.2.3")));
  assert.match(after.unverified ?? "", /alone: no signature/);
});

test("a signature that came after the expiry of the key counts as recorded, and says so", async (t) => {
  const { reformatKey } = await import("openpgp");
  const { publicKey } = await reformatKey({
    privateKey: author.key,
    userIDs: [{ name: "Author" }],
    keyExpirationTime: 365 * 86_400,
    date: new Date("2020-01-02T12:00:00Z"),
  });
  const { root } = await publish(t, await site("1.2.4"));
  const project = emptyFolder(t);
  plantKeys(project, [author]);
  writeFileSync(path.join(project, "channels/keys", `${author.fingerprint}.asc`), publicKey);
  const access = accessIn(project, emptyFolder(t), path.join(emptyFolder(t), "run"));
  const channel = { releases: { tool: tool(root, signature(root)) }, components: {} };
  const { locked } = await lockReleases(channel, ["tool"], access, { again: false });
  assert.deepEqual([locked[0]?.pin.verified, locked[0]?.pin.signedBy], ["recorded", undefined]);
  assert.match(locked[0]?.evidence.join() ?? "", /when the key had expired on 2020-12-31 by its copy here/);
});

test("a site that does not answer is named once for all its components, and the others go on", async (t) => {
  const { root } = await publish(t, await site("1.2.3"));
  const silent = await refusingRoot();
  const releases = { a: tool(silent), b: tool(silent), tool: tool(root, signature(root)) };
  const { locked, problems } = await lock(t, releases);
  assert.deepEqual(
    locked.map(({ name }) => name),
    ["tool"],
  );
  assert.deepEqual(
    problems.map(({ name, fault }) => [name, fault.code]),
    [
      ["a", "E_UNAVAILABLE"],
      ["b", "E_UNAVAILABLE"],
    ],
  );
  assert.equal(problems[0]?.fault.message, `${new URL(silent).host} does not answer`);
});

test("a site that refuses, leads elsewhere, or sends too much", async (t) => {
  const files = await site("1.2.3");
  files["/moved/"] = (_request, response) => void response.writeHead(302, { location: "/tool/" }).end();
  files["/forbidden/"] = status(403);
  files["/huge/"] = (_request, response) =>
    void response.writeHead(200, { "content-length": 2 ** 40 }).write("tool-1.2.3.tar.gz");
  const { root } = await publish(t, files);
  const at = (list: string): Record<string, Release> => ({ tool: tool(root, { ...signature(root), list }) });
  assert.equal(only(await lock(t, at(`${root}/moved/`))).pin.version, "1.2.3");
  const forbidden = problem(await lock(t, at(`${root}/forbidden/`)));
  assert.deepEqual(
    [forbidden.fault.code, forbidden.fault.details],
    ["E_UNAVAILABLE", [`${root}/forbidden/: HTTP status 403`]],
  );
  const huge = problem(await lock(t, at(`${root}/huge/`)));
  assert.equal(huge.fault.code, "E_UNAVAILABLE");
  assert.match(huge.fault.details.join(), /announces 1099511627776 bytes/);
});

test("a list that is gone, or names nothing of the series, is told: no news is not good news", async (t) => {
  const files = await site("2.0.1");
  const { root } = await publish(t, files);
  const empty = problem(await lock(t, { tool: tool(root) }, { tool: pin("1.2.3") }));
  assert.equal(empty.fault.code, "E_COMPONENT");
  assert.match(empty.fault.message, /names no tool-….tar.gz of the series 1\.2\./);
  const gone = problem(await lock(t, { tool: tool(root, { list: `${root}/gone` }) }, { tool: pin("1.2.3") }));
  assert.match(gone.fault.message, /is not there/);
});

test("a key that is absent, of no known origin, or another one than its name says is a fault", async (t) => {
  const { root } = await publish(t, await site("1.2.3"));
  const absent = { tool: tool(root, signature(root, { keys: ["A".repeat(40)] })) };
  assert.equal(problem(await lock(t, absent)).fault.code, "E_KEYRING");
  const project = emptyFolder(t);
  plantKeys(project, [author]);
  writeFileSync(path.join(project, "channels/keys", `${author.fingerprint}.asc`), stranger.key.toPublic().armor());
  await assert.rejects(new AuthorKeys(project).get(author.fingerprint), {
    code: "E_KEYRING",
    message: `channels/keys/${author.fingerprint}.asc is not the one key that its name says`,
  });
});

test("patches of the version before are given up with it, and told", async (t) => {
  const { root } = await publish(t, await site("1.2.4"));
  const patches = [{ archive: "pool/t.debian.tar.xz", sha256: "0".repeat(64), size: 1, files: ["patches/CVE-1"] }];
  const before = pin("1.2.3", { patches: patches.map((each) => ({ ...each, verified: "signed" as const })) });
  const { pin: after, notes } = only(await lock(t, { tool: tool(root, signature(root)) }, { tool: before }));
  assert.equal(after.patches, undefined);
  assert.deepEqual(notes, ["patches of 1.2.3 are given up, look whether 1.2.4 has what they mend: patches/CVE-1"]);
});

test("what became known: newer versions, other hashes, lists that cannot be read; no archive is downloaded", async (t) => {
  const files = await site("1.2.3", "1.2.4");
  files["/tool/tool-1.2.3.sha256"] = hashOf("another");
  const { root, requests } = await publish(t, files);
  const { access } = rig(t);
  const releases = { gone: tool(`${root}/gone`), tool: tool(root, { ...signature(root), ...sums(root) }) };
  const components = { gone: pin("1.2.3"), tool: pin("1.2.3") };
  const findings = await releaseNews({ releases, components }, ["gone", "tool"], access);
  assert.deepEqual(
    findings.map(({ name, kind }) => [name, kind]),
    [
      ["gone", "unread"],
      ["tool", "version"],
      ["tool", "hash"],
    ],
  );
  assert.equal(findings[1]?.what, `1.2.4 is in ${root}/tool/, pinned is 1.2.3`);
  assert.deepEqual([...requests].sort(), ["GET /gone/tool/", "GET /tool/", "GET /tool/tool-1.2.3.sha256"]);
  const now = { tool: pin("1.2.4") };
  delete files["/tool/tool-1.2.3.sha256"];
  assert.deepEqual(await releaseNews({ releases, components: now }, ["tool"], rig(t).access), []);
});

test("nothing of a run stays but what was verified", async (t) => {
  const { root } = await publish(t, await site("1.2.3"));
  const { access, folder, sources } = rig(t);
  await lockReleases({ releases: { tool: tool(root, signature(root)) }, components: {} }, ["tool"], access, {
    again: false,
  });
  assert.deepEqual(filesIn(folder), []);
  await access.sites.close();
  assert.deepEqual(filesIn(path.dirname(folder)), []);
  assert.equal(filesIn(sources).length, 1);
});
