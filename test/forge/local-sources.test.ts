import assert from "node:assert/strict";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { ingot } from "../../recipes/ingot.ts";
import { Fault } from "../../src/fault/fault.ts";
import { evaluate } from "../../src/forge/evaluate.ts";
import {
  localSources,
  parseLocalSource,
  unusedNotices,
  withLocalSources,
  type LocalOptions,
} from "../../src/forge/local-sources.ts";
import { manifestOf } from "../../src/forge/manifest.ts";
import type { Channel } from "../../src/recipe/channel.ts";
import type { Digest } from "../../src/recipe/derivation.ts";
import { source } from "../../src/recipe/recipe.ts";
import { isProven, pinsDigest } from "../../src/source/channel.ts";
import type { ChannelChoice } from "../../src/source/channel-choice.ts";
import { file, serve } from "../source/http-server.ts";
import { Rig, step, temporaryFolder } from "./rig.ts";
import { sha256Of, sourceOf, tarball } from "./sources.ts";
import { gzipSync } from "node:zlib";
import { buildTar } from "../format/tar-builder.ts";

const pinned = await tarball("data", [{ name: "data", data: "pinned\n" }]);
const other = await tarball("other", [{ name: "other", data: "other\n" }]);

const user = step("user", "cp data/data /out; echo $VERSION > /out/version", { source: source("data") });
const further = step("further", "cp /in/user/data /out", { inputs: [user] });
const bystander = step("bystander", "cp other/other /out", { source: source("other") });

interface World {
  readonly rig: Rig;
  readonly tree: string;
  readonly choice: ChannelChoice;
  /** Makes the rig's channel the one with these sources. */
  readonly take: (texts: readonly string[], options?: LocalOptions) => Promise<ChannelChoice>;
  readonly mirrors: readonly string[];
}

async function world(t: TestContext, more: Partial<Channel["components"]["data"]> = {}): Promise<World> {
  const rig = await Rig.make(t, { components: { data: { ...pinned.pin, ...more }, other: other.pin } });
  const server = await serve(t, (request, response) =>
    file((request.url ?? "").includes("other") ? other.bytes : pinned.bytes)(request, response),
  );
  const proven = { date: "2026-01-02", pins: pinsDigest(rig.channel), built: ["iso"], result: "all of it" };
  const choice: ChannelChoice = { channel: { ...rig.channel, proven }, why: "", by: "for a test", others: [] };
  const tree = path.join(temporaryFolder(t), "my-data");
  mkdirSync(path.join(tree, ".git"), { recursive: true });
  writeFileSync(path.join(tree, "data"), "local\n");
  const take = async (texts: readonly string[], options?: LocalOptions): Promise<ChannelChoice> => {
    const taken = await withLocalSources(choice, texts, rig.store, options);
    rig.channel = taken.channel;
    return taken;
  };
  return { rig, tree, choice, take, mirrors: [server.root] };
}

function fault(code: string, message: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof Fault, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  };
}

test("a folder takes the place of the pinned archive, and nothing is asked of the network", async (t) => {
  const { rig, tree, take } = await world(t);
  await take([`data=${tree}`]);
  const run = await rig.forge(further);
  assert.equal(run.ok, true, JSON.stringify(run.events.at(-2)));
  assert.deepEqual(run.made, ["user", "further"]);
  assert.equal(rig.read(further, "data"), "local\n");
  assert.equal(rig.read(user, "version"), "1.0\n", "it is built as the version that the channel names");
});

test("an unchanged tree rebuilds nothing, a changed file what depends on it and nothing else", async (t) => {
  const { rig, tree, take, mirrors } = await world(t);
  await take([`data=${tree}`]);
  const first = await rig.forge([further, bystander], { mirrors });
  assert.equal(first.ok, true, JSON.stringify([...first.outcome.failed.values()]));
  await take([`data=${tree}`]);
  assert.deepEqual((await rig.forge([further, bystander])).made, []);
  writeFileSync(path.join(tree, ".git", "index"), "a commit");
  await take([`data=${tree}`]);
  assert.deepEqual((await rig.forge([further, bystander])).made, []);
  appendFileSync(path.join(tree, "data"), "more\n");
  await take([`data=${tree}`]);
  assert.deepEqual((await rig.forge([further, bystander])).made, ["user", "further"]);
  assert.equal(rig.read(further, "data"), "local\nmore\n");
});

test("what is changed after the start does not get into the build", async (t) => {
  const { rig, tree, take } = await world(t);
  await take([`data=${tree}`]);
  writeFileSync(path.join(tree, "data"), "too late\n");
  await rig.forge(user);
  assert.equal(rig.read(user, "data"), "local\n");
});

test("an archive of this machine does, too, with a version of its own", async (t) => {
  const { rig, take } = await world(t);
  const archive = path.join(temporaryFolder(t), "data-2.0.tar.gz");
  writeFileSync(archive, gzipSync(await buildTar([{ name: "data-2.0/data", data: "packed\n" }])));
  const { channel } = await take([`data@2.0=${archive}`]);
  assert.deepEqual(channel.components["data"]?.local, { kind: "archive", file: "data-2.0.tar.gz" });
  await rig.forge(user);
  assert.equal(rig.read(user, "data"), "packed\n");
  assert.equal(rig.read(user, "version"), "2.0\n");
});

test("a local source that is no archive, or one that leads out of its folder, is refused as a download would be", async (t) => {
  const { rig, take } = await world(t);
  const archive = path.join(temporaryFolder(t), "data.tar");
  writeFileSync(archive, "just a text\n");
  await take([`data=${archive}`]);
  assert.equal((await rig.forge(user)).fault.code, "E_ARCHIVE");
  writeFileSync(
    archive,
    await buildTar([
      { name: "data/data", data: "1" },
      { name: "../beside", data: "2" },
    ]),
  );
  await take([`data=${archive}`]);
  assert.equal((await rig.forge(user)).fault.code, "E_ARCHIVE");
});

test("the channel's patches are for the pinned bytes: a local source is taken as it is", async (t) => {
  const patch = "--- a/data\n+++ b/data\n@@ -1 +1 @@\n-pinned\n+patched\n";
  const packaging = sourceOf("fixes", gzipSync(await buildTar([{ name: "debian/patches/a", data: patch }])));
  const { archive, pin } = packaging;
  const patches = [
    { archive, sha256: pin.sha256, size: pin.size ?? 0, verified: "signed" as const, files: ["patches/a"] },
  ];
  const { rig, tree, take } = await world(t, { patches });
  const server = await serve(t, (request, response) =>
    file((request.url ?? "").includes("fixes") ? packaging.bytes : pinned.bytes)(request, response),
  );
  await rig.forge(user, { mirrors: [server.root] });
  assert.equal(rig.read(user, "data"), "patched\n");
  await take([`data=${tree}`]);
  assert.equal((await rig.forge(user)).ok, true);
  assert.equal(rig.read(user, "data"), "local\n");
  // the very archive that is pinned needs what the pin needs, and is built already
  const same = path.join(temporaryFolder(t), "data.tar.gz");
  writeFileSync(same, pinned.bytes);
  const { channel } = await take([`data=${same}`]);
  assert.deepEqual((await rig.forge(user)).made, []);
  assert.equal(channel.components["data"]?.local?.kind, "archive");
});

test("a channel with a local source is not called built and booted, and its first line names the source and its hash", async (t) => {
  const { rig, tree, choice, take } = await world(t);
  assert.equal(isProven(choice.channel), true);
  const { channel, why } = await take([`data=${tree}`]);
  const { sha256 = "" } = channel.components["data"] ?? {};
  assert.equal(
    why,
    `for a test, never built whole with local sources (data 1.0 from the tree my-data, sha256 ${sha256.slice(0, 12)})`,
  );
  assert.equal(isProven(channel), false);
  assert.equal(channel.proven, undefined);
  const same = path.join(temporaryFolder(t), "data.tar.gz");
  writeFileSync(same, pinned.bytes);
  assert.equal(isProven((await take([`data=${same}`])).channel), false);
  assert.equal(sha256, sha256Of(readFileSync(rig.store.sources.path(sha256 as Digest))));
});

test("the manifest says of a local source that it is one, with its hash, and claims no knowledge of vulnerabilities", async (t) => {
  const { rig, tree, take } = await world(t);
  const { channel } = await take([`data=${tree}`]);
  await rig.forge(user);
  const looked = { looked: "2026-01-02", advisories: [] };
  const facts = { why: "", files: [], trust: [], rootLogin: true, logins: [], known: { data: looked } };
  const manifest = manifestOf(rig.evaluate(user), rig.store, facts);
  const said = {
    name: "data",
    version: "1.0",
    file: "my-data",
    sha256: channel.components["data"]?.sha256,
    verified: "local",
    local: "tree",
  };
  assert.deepEqual(manifest.local, [said]);
  assert.deepEqual(manifest.components.find(({ name }) => name === "user")?.sources, [said]);
  assert.equal(manifest.advisories.find(({ component }) => component === "data")?.looked, undefined);
  assert.ok(!JSON.stringify(manifest).includes(path.dirname(tree)), "it has no path of this machine");
});

test("a source that nothing of the targets is made from is said to be of no use", async (t) => {
  const { rig, tree, take } = await world(t);
  await take([`data=${tree}`]);
  assert.deepEqual(unusedNotices(rig.evaluate(further)), []);
  assert.deepEqual(unusedNotices(rig.evaluate(bystander)), [
    "nothing of this is made from data: its --source changes nothing",
  ]);
  assert.deepEqual(
    localSources(rig.evaluate(further)).map(([name]) => name),
    ["data"],
  );
});

test("a component that the channel does not have, a path that is not there, an empty folder or file: each is told", async (t) => {
  const { rig, tree, take } = await world(t);
  const empty = temporaryFolder(t);
  const none = path.join(empty, "none");
  const sources = (): string[] => readdirSync(rig.store.paths.sources);
  await assert.rejects(take([`nonsense=${tree}`]), fault("E_MISSING_SOURCE", /no source "nonsense"/));
  await assert.rejects(take([`data=${none}`]), fault("E_LOCAL_SOURCE", /none is not there/));
  await assert.rejects(take([`data=${empty}`]), fault("E_LOCAL_SOURCE", /holds no file/));
  writeFileSync(none, "");
  await assert.rejects(take([`data=${none}`]), fault("E_LOCAL_SOURCE", /is empty/));
  await assert.rejects(take(["data=/dev/null"]), fault("E_LOCAL_SOURCE", /neither a folder nor a file/));
  await assert.rejects(take([`data=${rig.top}`]), fault("E_LOCAL_SOURCE", /holds the cache folder/));
  await assert.rejects(take([`data=${tree}`, `data=${tree}`]), fault("E_USAGE", /names data twice/));
  assert.deepEqual(sources(), []);
  assert.deepEqual(readdirSync(rig.store.paths.tmp), []);
});

test("what --source is given is read as name, version and path", () => {
  assert.deepEqual(parseLocalSource("a-b=x=y"), { component: "a-b", path: "x=y" });
  assert.deepEqual(parseLocalSource("linux@6.14-rc1=/src/linux"), {
    component: "linux",
    version: "6.14-rc1",
    path: "/src/linux",
  });
  for (const text of ["data", "data=", "=x", "data@=x", "da ta=x"])
    assert.throws(() => parseLocalSource(text), fault("E_USAGE", /--source wants/), text);
});

test("a look copies nothing, and says the same hash", async (t) => {
  const { rig, tree, take } = await world(t);
  const looked = await take([`data=${tree}`], { look: true });
  assert.deepEqual(readdirSync(rig.store.paths.sources), []);
  assert.deepEqual((await take([`data=${tree}`])).channel, looked.channel);
});

test("a link in the place of the folder is followed, links within are not", async (t) => {
  const { rig, tree, take } = await world(t);
  const link = path.join(temporaryFolder(t), "here");
  symlinkSync(tree, link);
  symlinkSync("data", path.join(tree, "alias"));
  await take([`data=${link}`]);
  assert.equal((await rig.forge(user)).ok, true);
  const { channel } = await take([`data=${tree}`]);
  assert.deepEqual((await rig.forge(user)).made, []);
  assert.equal(channel.components["data"]?.local?.file, "my-data");
});

test("a copy that was damaged in the store is told, and is made again by the next start", async (t) => {
  const { rig, tree, take } = await world(t);
  const { channel } = await take([`data=${tree}`]);
  const copy = rig.store.sources.path(channel.components["data"]?.sha256 as Digest);
  appendFileSync(copy, "x");
  const run = await rig.forge(user);
  assert.equal(run.fault.code, "E_LOCAL_SOURCE");
  assert.ok(!existsSync(copy));
  await take([`data=${tree}`]);
  assert.equal((await rig.forge(user)).ok, true);
});

test("the original may be gone once the copy is made", async (t) => {
  const { rig, tree, take } = await world(t);
  await take([`data=${tree}`]);
  rmSync(tree, { recursive: true });
  assert.equal((await rig.forge(user)).ok, true);
});

test("keys of what is made from pinned sources are what they were", async (t) => {
  const { rig, tree, choice, take } = await world(t);
  const before = evaluate([bystander], { project: rig.project, channel: choice.channel, pins: new Map() }).targets;
  await take([`data=${tree}`]);
  assert.deepEqual(rig.evaluate(bystander).targets, before);
});

test("the manifest of an ingot names the local sources that it is made from, however far below, and no others", async (t) => {
  const { rig, tree, take } = await world(t);
  const { body } = ingot({ name: "thing", version: "1", trees: [further] });
  const lines = (): string[] => {
    const { derivation } = rig.evaluate(body).nodes.get(rig.key(body)) ?? {};
    const script = derivation?.kind === "step" ? derivation.script : "";
    return script.split("\n").filter((line) => line.startsWith("proof not "));
  };
  assert.deepEqual(lines(), []);
  const before = rig.key(body);
  const { channel } = await take([`data=${tree}`]);
  assert.deepEqual(lines(), [`proof not the channel's source: data 1.0, sha256 ${channel.components["data"]?.sha256}`]);
  assert.notEqual(rig.key(body), before);
  await take([`other=${tree}`]);
  assert.deepEqual(lines(), []);
  assert.equal(rig.key(body), before, "the key is that of the pinned sources");
});
