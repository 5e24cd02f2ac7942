/** The channel of a project folder, by the command line. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Manifest } from "../../src/forge/manifest.ts";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Digest } from "../../src/recipe/derivation.ts";
import { projectRoot } from "../forge/rig.ts";
import { tarball } from "../forge/sources.ts";
import { TinyProject } from "./tiny-project.ts";

test("the first forge chooses the folder's channel, which stays until a command changes it", async (t) => {
  const project = await TinyProject.make(t);
  const anvil = async (...args: string[]): Promise<string> => {
    const { status, stdout, stderr } = await project.anvil(args);
    assert.equal(status, 0, stderr);
    return stdout;
  };
  const first = await anvil("forge", "--plain");
  assert.match(first, /^channel debian: the default, .*; by name there is also .*rfc-0054, never built whole$/m);
  const { channel } = JSON.parse(
    readFileSync(path.join(project.out, "anvilos-phase2.manifest.json"), "utf8"),
  ) as Manifest;
  assert.match(channel.why, /^the default, .*rfc-0054/);

  for (const args of [
    ["forge", "--channel", "rfc-0054"],
    ["ingot", "show", "number", "--channel", "rfc-0054"],
  ]) {
    const other = await project.anvil(args);
    assert.equal(other.status, 1);
    assert.match(other.stderr, /^E_CHANNEL_CHOICE {2}this folder builds channel debian, not rfc-0054\n/);
  }
  assert.match(await anvil("graph", "--channel", "rfc-0054"), /^channel rfc-0054: asked for, never built whole \(/);

  const changed = await anvil("channel", "rfc-0054");
  assert.match(changed, /^channel rfc-0054: chosen for this folder, /);
  assert.match(changed, /^ {2}zfs 2\.3\.\d+ → 2\.2\.\d+$/m);
  assert.match(await anvil("graph"), /^channel rfc-0054: chosen for this folder, never built whole/);
  assert.match(await anvil("channel", "--json"), /"channel": "rfc-0054"/);

  const unknown = await project.anvil(["channel", "rfc-54"]);
  assert.equal(unknown.status, 1);
  assert.match(unknown.stderr, /^E_CHANNEL {2}there is no channel "rfc-54"\n/);
  assert.match(await anvil("channel", "debian"), /^\* debian: /m);
});

test("nothing of a channel that was never built is compiled before its sources were looked at", async (t) => {
  const project = await TinyProject.make(t);
  const { bytes, pin } = await tarball("odd", [{ name: "configure", data: "ac_user_opts='\nenable_nls\n'\n" }]);
  const file = path.join(project.folder, "channels/rfc-0054.json");
  const channel = JSON.parse(readFileSync(file, "utf8")) as { components: Record<string, object> };
  channel.components["odd"] = pin;
  writeFileSync(file, JSON.stringify(channel));
  writeFileSync(project.store.sources.path(pin.sha256 as Digest), bytes);
  project.edit(
    'seed: seedBase,\n  script: "echo base',
    'seed: seedBase,\n  source: { component: "odd" },\n  assumes: [{ expects: "paths", component: "odd", paths: ["gone.c"] }],\n  script: "cd odd # ./configure\\n" + "echo base',
  );
  // the seed that is here
  const seeds = readFileSync(path.join(project.folder, "recipes/seed.ts"), "utf8");
  project.write("recipes/seed.ts", seeds.replace(/export const seedCc = .*;/, "export const seedCc = seedBase;"));
  project.write("system/preflight/words", readFileSync(path.join(projectRoot, "system/preflight/words"), "utf8"));

  const refused = await project.anvil(["forge", "--channel", "rfc-0054", "--plain"]);
  assert.equal(refused.status, 1, refused.stdout);
  assert.match(
    refused.stderr,
    /^E_PREFLIGHT {2}1 of 2 assumptions about the sources do not hold\n {2}odd\/gone\.c: is there\n/,
  );
  assert.doesNotMatch(refused.stdout, /^start base/m);
  assert.match(refused.stdout, /^channel rfc-0054: asked for, never built whole/);

  const looked = await project.anvil(["preflight", "--plain"]);
  assert.equal(looked.status, 1);
  assert.match(
    looked.stdout,
    /^odd 1\.0\n {2}fails {2}gone\.c: is there\nchannel rfc-0054: 1 of 2 assumptions about 1 sources do not hold$/m,
  );

  const all = await project.anvil(["forge", "--no-preflight", "--plain"]);
  assert.equal(all.status, 0, all.stderr);
  assert.match(all.stdout, /^done base/m);
  const again = await project.anvil(["forge", "--plain"]);
  assert.equal(again.status, 0, "with nothing to compile nothing is looked at");
});
