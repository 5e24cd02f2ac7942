import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import type { Component } from "../../src/recipe/channel.ts";
import type { Digest } from "../../src/recipe/derivation.ts";
import { archive, source, type Recipe } from "../../src/recipe/recipe.ts";
import { checkChannel } from "../../src/source/channel-shape.ts";
import { projectRoot, Rig, step } from "./rig.ts";
import { sourceOf, tarball, type Source } from "./sources.ts";

const change = (from: string, to: string): string => `--- a/word\n+++ b/word\n@@ -1 +1 @@\n-${from}\n+${to}\n`;

/** A packaging archive with two patches of which the second builds on the first. */
const packaging = (): Promise<Source> =>
  tarball("debian", [
    { name: "patches", type: "directory" },
    { name: "patches/first.patch", data: change("one", "two") },
    { name: "patches/second.patch", data: change("two", "three") },
  ]);

async function rigWith(t: TestContext, files: readonly string[]): Promise<{ rig: Rig; pin: Component }> {
  const data = await tarball("data", [{ name: "word", data: "one\n" }]);
  const patches = await packaging();
  const { archive, pin } = sourceOf("data-packaging", patches.bytes);
  const patched = {
    ...data.pin,
    patches: [{ archive, sha256: pin.sha256, size: patches.bytes.length, verified: "signed" as const, files }],
  };
  const rig = await Rig.make(t, { components: { data: patched } });
  for (const { bytes, pin } of [data, patches]) writeFileSync(rig.store.sources.path(pin.sha256 as Digest), bytes);
  return { rig, pin: patched };
}

const words = step("words", "cp data/word /out; ls > /out/folders", { source: source("data") });

test("a step finds its source with the channel's patches applied in their order, and nothing beside it", async (t) => {
  const { rig } = await rigWith(t, ["patches/first.patch", "patches/second.patch"]);
  const run = await rig.forge(words);
  assert.ok(run.ok);
  assert.equal(rig.read(words, "word"), "three\n");
  assert.equal(rig.read(words, "folders"), "data\n");
});

test("a patch that does not fit ends the step before its script, and the log shows why", async (t) => {
  const { rig } = await rigWith(t, ["patches/second.patch"]);
  const run = await rig.forge(words);
  assert.equal(run.ok, false);
  assert.equal(run.fault.code, "E_STEP_FAILED");
  assert.ok(run.lines("words").some((line) => line.includes("FAILED")));
  assert.equal(rig.store.outputs.has(rig.key(words)), false);
});

test("who wants the archive as it is gets it without patches", async (t) => {
  const { rig } = await rigWith(t, ["patches/first.patch"]);
  const packed = step("packed", "tar -xOf /src/data --wildcards '*/word' > /out/word", { source: archive("data") });
  assert.ok((await rig.forge(packed)).ok);
  assert.equal(rig.read(packed, "word"), "one\n");
});

test("the key depends on the patches, and only of what is built from that source", async (t) => {
  const { rig, pin } = await rigWith(t, ["patches/first.patch", "patches/second.patch"]);
  const other = step("other", "touch /out/a");
  const keys = (recipe: Recipe): string => rig.key(recipe);
  const before = [keys(words), keys(other)];
  const { patches: _none, ...bare } = pin;
  rig.channel = { ...rig.channel, components: { data: bare } };
  assert.notEqual(keys(words), before[0]);
  assert.equal(keys(other), before[1]);
});

test("a channel file says where a list of patches is wrong", () => {
  const file = "channels/debian.json";
  const channel = JSON.parse(readFileSync(path.join(projectRoot, file), "utf8")) as {
    components: { musl: { patches: { files: string[] }[] } };
  };
  assert.doesNotThrow(() => checkChannel(channel, file));
  const [first] = channel.components.musl.patches;
  assert.ok(first);
  first.files = ["../secret"];
  assert.throws(() => checkChannel(channel, file), /\$\.components\.musl\.patches\[0\]\.files\[0\]/);
  first.files = [];
  assert.throws(() => checkChannel(channel, file), /\$\.components\.musl\.patches\[0\]\.files/);
});
