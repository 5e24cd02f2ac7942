import assert from "node:assert/strict";
import { appendFileSync, cpSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { isoImage } from "../../recipes/iso.ts";
import { evaluate } from "../../src/forge/evaluate.ts";
import { loadChannel } from "../../src/source/channel.ts";
import { projectRoot, temporaryFolder } from "./rig.ts";

test("a line more in the kernel's configuration changes the kernel and the images, nothing else", async (t) => {
  const iso = isoImage({ rootLogin: true, trust: [], logins: [] });
  const channel = await loadChannel(projectRoot, "debian");
  const keys = (project: string): ReadonlySet<string> =>
    new Set(evaluate([iso], { project, channel, pins: new Map() }).nodes.keys());
  const before = keys(projectRoot);
  const project = temporaryFolder(t);
  for (const name of ["native", "system"])
    cpSync(path.join(projectRoot, name), path.join(project, name), { recursive: true });
  assert.deepEqual(keys(project), before);
  appendFileSync(path.join(project, "system/kernel/config"), "CONFIG_DUMMY=y\n");
  const changed = [...evaluate([iso], { project, channel, pins: new Map() }).nodes.values()]
    .filter(({ key }) => !before.has(key))
    .map(({ derivation }) => derivation.name);
  assert.deepEqual(changed.sort(), ["iso", "linux", "pool-image"]);
});
