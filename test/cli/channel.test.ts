/** The channel of a project folder, by the command line. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Manifest } from "../../src/forge/manifest.ts";
import { readFileSync } from "node:fs";
import path from "node:path";
import { TinyProject } from "./tiny-project.ts";

test("the first forge chooses the folder's channel, which stays until a command changes it", async (t) => {
  const project = await TinyProject.make(t);
  const anvil = async (...args: string[]): Promise<string> => {
    const { status, stdout, stderr } = await project.anvil(args);
    assert.equal(status, 0, stderr);
    return stdout;
  };
  const first = await anvil("forge", "--plain");
  assert.match(first, /^channel debian: the default, .*; by name there is also rfc-0054, never built whole$/m);
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
