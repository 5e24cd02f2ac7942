import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import type { Manifest } from "../../src/forge/manifest.ts";
import type { Channel } from "../../src/recipe/channel.ts";
import { loadChannel, pinsDigest } from "../../src/source/channel.ts";
import { withoutNetwork, withSmallDisk } from "../forge/confined.ts";
import { plantPackages } from "../forge/rig.ts";
import { sha256Of, tarball, type Source } from "../forge/sources.ts";
import { file, serve } from "../source/http-server.ts";
import { anvil, temporaryFolder } from "./command-line.ts";
import { smallWorld } from "./small-world.ts";
import { ended, TinyProject } from "./tiny-project.ts";
import type { Wrap } from "../forge/confined.ts";

const RECIPES = `
import { contains, exists } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { seedBase } from "./seed.ts";

export const greeting = recipe({
  name: "greeting",
  licence: "0BSD",
  source: source("greeting"),
  seed: seedBase,
  script: "make -C greeting install DESTDIR=/out",
  proves: [exists("usr/share/greeting")],
});

export const base = recipe({
  name: "base",
  licence: "0BSD",
  seed: seedBase,
  script: "echo 42 > /out/number",
  proves: [contains("number", /^42$/)],
});

export const isoImage = (options = {}) => recipe({
  name: options.rootLogin === false ? "iso-no-login" : "iso",
  licence: "0BSD",
  seed: seedBase,
  inputs: [greeting, base],
  script: "cat /in/base/number /in/greeting/usr/share/greeting > /out/anvilos-phase2.iso",
  proves: [exists("anvilos-phase2.iso")],
});
`;

const MAKEFILE = `all: greeting.txt
greeting.txt: words
	sed s/you/all/ words > $@
install: all
	install -D -m 644 greeting.txt $(DESTDIR)/usr/share/greeting
`;

interface Tiny {
  readonly project: TinyProject;
  readonly source: Source;
  readonly seedTree: string;
}

/** A project whose ISO is made from a source by make, and whose channel counts as built whole. */
async function tiny(t: TestContext): Promise<Tiny> {
  const project = await TinyProject.make(t);
  const source = await tarball("greeting", [
    { name: "Makefile", data: MAKEFILE },
    { name: "words", data: "hello you\n" },
  ]);
  project.write("recipes/iso.ts", RECIPES);
  const channelFile = path.join(project.folder, "channels/debian.json");
  const channel = JSON.parse(readFileSync(channelFile, "utf8")) as Omit<Channel, "seeds">;
  const write = (value: object): void => writeFileSync(channelFile, JSON.stringify(value));
  const components = { ...channel.components, greeting: source.pin };
  write({ ...channel, components });
  const pins = pinsDigest(await loadChannel(project.folder, "debian"));
  write({ ...channel, components, proven: { date: "2026-01-02", pins, built: ["iso"], result: "all of it" } });
  const [seed] = project.store.outputs.records();
  assert.ok(seed !== undefined);
  return { project, source, seedTree: project.store.outputs.path(seed.key) };
}

function inProject(project: TinyProject, args: readonly string[], env: Readonly<Record<string, string>>, wrap: Wrap) {
  const { command, args: all } = wrap(process.execPath, [path.join(project.folder, "bin/anvil"), ...args]);
  const child = spawn(command, all, { cwd: project.folder, env });
  child.stdin.end();
  return ended(child);
}

test("what one machine exported, another without network takes into an empty store, and forges", async (t) => {
  const { project, source, seedTree } = await tiny(t);
  const offline = withoutNetwork(seedTree);
  const probe = offline(process.execPath, ["-e", "0"]);
  if (spawnSync(probe.command, probe.args, { env: {} }).status !== 0)
    return t.skip("this machine lets nobody make a network namespace");
  plantPackages(project.store, await loadChannel(project.folder, "debian"));
  const mirror = await serve(t, file(source.bytes));
  const bundle = path.join(temporaryFolder(t), "sources.tar");
  const exported = await project.anvil(["fetch", "--export", bundle, "--debian-mirror", mirror.root, "--plain"]);
  assert.equal(exported.status, 0, exported.stdout + exported.stderr);
  assert.match(exported.stdout, /sources\.tar: \d+ files for debian, /);
  const before = mirror.requests.length;

  const home = temporaryFolder(t);
  const env = { HOME: home };
  const without = await inProject(project, ["forge"], env, offline);
  assert.equal(without.status, 1, "there is nothing to forge from");
  const imported = await inProject(project, ["fetch", "--import", bundle], env, offline);
  assert.equal(imported.status, 0, imported.stdout + imported.stderr);
  assert.match(imported.stdout, /^took (\d+) of \1 files for debian/);
  const forged = await inProject(project, ["forge", "--plain"], env, offline);
  assert.equal(forged.status, 0, forged.stdout + forged.stderr);
  assert.equal(readFileSync(path.join(project.out, "anvilos-phase2.iso"), "utf8"), "42\nhello all\n");
  assert.match(forged.stdout, /built and booted on 2026-01-02/);
  const again = await inProject(project, ["fetch", "--import", bundle, "--json"], env, offline);
  assert.equal((JSON.parse(again.stdout) as { taken: number }).taken, 0);
  assert.equal(mirror.requests.length, before);

  // a machine whose disk is too small
  const small = withSmallDisk(seedTree, project.cache, 1 << 20);
  const refused = await inProject(project, ["fetch", "--import", bundle], { HOME: project.home }, small);
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /^E_DISK_FULL/);
});

test("forge --source builds from a folder, says so in its first line and in the manifest, and has nothing to do again", async (t) => {
  const { project } = await tiny(t);
  const folder = path.join(temporaryFolder(t), "greeting-work");
  mkdirSync(folder);
  writeFileSync(path.join(folder, "Makefile"), MAKEFILE);
  writeFileSync(path.join(folder, "words"), "good morning, you\n");
  const forge = (...more: string[]) =>
    project.anvil(["forge", "--source", `greeting@9.9=${folder}`, "--no-preflight", "--plain", ...more]);
  const manifest = (): Manifest =>
    JSON.parse(readFileSync(path.join(project.out, "anvilos-phase2.manifest.json"), "utf8")) as Manifest;

  const { status, stdout, stderr } = await forge();
  assert.equal(status, 0, stdout + stderr);
  assert.equal(readFileSync(path.join(project.out, "anvilos-phase2.iso"), "utf8"), "42\ngood morning, all\n");
  const said = /greeting 9\.9 from the tree greeting-work, sha256 ([0-9a-f]{12})/;
  const [first = ""] = stdout.split("\n");
  assert.match(first, said);
  assert.match(first, /never built whole with local sources/);
  assert.match(stdout, /it is not what the channel pins: greeting 9\.9 from the tree greeting-work/);
  const { local: [entry] = [], channel } = manifest();
  assert.deepEqual([entry?.name, entry?.version, entry?.verified, entry?.local], ["greeting", "9.9", "local", "tree"]);
  assert.equal(entry?.sha256.slice(0, 12), said.exec(first)?.[1]);
  assert.match(channel.why, /never built whole with local sources/);

  const again = await forge();
  assert.equal(again.status, 0);
  assert.match(again.stdout, /nothing to do/);
  assert.match(again.stdout, said);
  appendFileSync(path.join(folder, "words"), "and good night\n");
  const events = (await forge("--json")).stdout.split("\n").filter((line) => line.includes('"start"'));
  assert.equal(events.length, 2, "greeting and iso");

  const status2 = await project.anvil(["status", "--source", `greeting=${folder}`]);
  assert.match(status2.stdout, /greeting 1\.0 from the tree greeting-work/);
  assert.doesNotMatch(status2.stdout, /to download: [1-9]/);
  const why = await project.anvil(["why", "greeting", "--source", `greeting=${folder}`]);
  assert.match(why.stdout, /local greeting 1\.0, the tree greeting-work/);
});

test("an ISO that was made from the very archive that is pinned is marked, and not when it is made from the pin", async (t) => {
  const { project, source } = await tiny(t);
  const archive = path.join(temporaryFolder(t), "greeting-1.0.tar.gz");
  writeFileSync(archive, source.bytes);
  const marked = (): boolean =>
    "local" in (JSON.parse(readFileSync(path.join(project.out, "anvilos-phase2.manifest.json"), "utf8")) as object);
  const first = await project.anvil(["forge", "--source", `greeting=${archive}`, "--no-preflight", "--plain"]);
  assert.equal(first.status, 0, first.stdout + first.stderr);
  assert.equal(marked(), true);
  const second = await project.anvil(["forge", "--plain"]);
  assert.equal(second.status, 0);
  assert.match(second.stdout, /nothing to do/);
  assert.equal(marked(), false);
});

test("a shell has the local source in it", async (t) => {
  const { project } = await tiny(t);
  const folder = path.join(temporaryFolder(t), "work");
  mkdirSync(folder);
  writeFileSync(path.join(folder, "words"), "from here\n");
  const args = ["shell", "greeting", "--source", `greeting=${folder}`, "--", "tar", "-xOf", "/src/greeting"];
  const { status, stdout, stderr } = await project.anvil([...args, "greeting/words"]);
  assert.equal(status, 0, stderr);
  assert.equal(stdout, "from here\n");
});

test("a mistake in --source is told before anything is done", async (t) => {
  const cache = temporaryFolder(t);
  const run = (...args: string[]) => anvil([...args, "--channel", "debian"], { cache });
  const form = await run("status", "--source", "zlib");
  assert.equal(form.status, 2);
  assert.match(form.stderr, /^E_USAGE {2}--source wants/);
  const unknown = await run("status", "--source", `nonsense=${cache}`);
  assert.equal(unknown.status, 1);
  assert.match(unknown.stderr, /^E_MISSING_SOURCE {2}channel "debian" has no source "nonsense"/);
  const nowhere = await run("why", "zlib", "--source", "zlib=nowhere");
  assert.match(nowhere.stderr, /^E_LOCAL_SOURCE .*nowhere is not there/);
  const both = await run("fetch", "zlib", "--source", `zlib=${cache}`, "--export", "x");
  assert.equal(both.status, 2);
});

test("an export brings what is missing, and is the same whoever makes it", async (t) => {
  const { project, cache, wanted, mirror, fetch } = await smallWorld(t);
  const folder = temporaryFolder(t);
  const [one, two] = [path.join(folder, "one.tar"), path.join(folder, "two.tar")];
  const first = await fetch("--export", one, "--json");
  assert.equal(first.status, 0, first.stdout);
  const last = JSON.parse(first.stdout.trim().split("\n").at(-1) ?? "") as { files: number; channels: string[] };
  assert.equal(last.files, wanted.size);
  assert.deepEqual(last.channels, ["debian"]);
  rmSync(path.join(cache, "sources"), { recursive: true });
  await fetch("--export", two);
  assert.deepEqual(readFileSync(one), readFileSync(two));

  const other = temporaryFolder(t);
  const before = mirror.requests.length;
  const taken = await anvil(["fetch", "--import", one], { project, cache: other });
  assert.equal(taken.status, 0, taken.stderr);
  assert.deepEqual(readdirSync(path.join(other, "sources")).sort(), [...wanted.keys()].sort());
  assert.equal(mirror.requests.length, before);
  const nothing = await anvil(["fetch", "zlib", "--channel", "debian", "--plain"], { project, cache: other });
  assert.match(nothing.stdout, /nothing to do/);
});

test("an import for targets, a channel or a project that the file was not made for says what is missing", async (t) => {
  const { project, fetch } = await smallWorld(t);
  const bundle = path.join(temporaryFolder(t), "sources.tar");
  await fetch("--export", bundle);
  const cache = temporaryFolder(t);
  const take = (...args: string[]) => anvil(["fetch", ...args, "--import", bundle], { project, cache });
  const more = await take("zfs");
  assert.equal(more.status, 1);
  assert.match(more.stderr, /^E_BUNDLE_CHANNEL {2}.* lacks \d+ of the \d+ files .*"debian"[^]*made for zlib[^]*zfs /);
  const other = await take("zlib", "--channel", "rfc-0054");
  assert.match(other.stderr, /^E_BUNDLE_CHANNEL .*"rfc-0054"[^]*made for debian/);
  const file = path.join(project, "channels/debian.json");
  const channel = JSON.parse(readFileSync(file, "utf8")) as Channel;
  const zlib = { ...channel.components["zlib"], version: "9", sha256: sha256Of(Buffer.from("9")) };
  writeFileSync(file, JSON.stringify({ ...channel, components: { ...channel.components, zlib } }));
  const pins = await take();
  assert.match(pins.stderr, /^E_BUNDLE_CHANNEL .* lacks 1 of[^]*another version of this project[^]*zlib 9/);
  assert.deepEqual(existsSync(path.join(cache, "sources")) ? readdirSync(path.join(cache, "sources")) : [], []);
  const usage = await take("--export", "x");
  assert.equal(usage.status, 2);
});
