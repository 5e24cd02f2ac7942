import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { firecrackerPurge } from "../../recipes/firecracker/purge.ts";
import { failedFolder } from "../../src/forge/step.ts";
import { examinePurge, purgeScript, type Purge, type SourceFiles } from "../../src/recipe/purge.ts";
import type { Recipe } from "../../src/recipe/recipe.ts";
import { Rig, step } from "../forge/rig.ts";
import { filesOf, syntheticPurge, treeOfAnchors, withFile, workspaceFolder } from "./synthetic.ts";

const workspace = filesOf(workspaceFolder);

/** A step that purges these files, which become files of the rig's project. */
function purging(rig: Rig, name: string, purge: Purge, files: SourceFiles): Recipe {
  const names = [...files].map(([file, text]) => rig.projectFile(`${name}/${file}`, text));
  return step(
    name,
    `cp -r /files/${name} /build/source\nchmod -R u+w /build/source\n${purgeScript(purge, "/build/source")}cp -r /build/source/. /out\n`,
    { files: names },
  );
}

test("the script in the sandbox makes what the engine makes", async (t) => {
  const rig = await Rig.make(t);
  const fits: [string, Purge, SourceFiles][] = [
    ["synthetic", syntheticPurge, workspace],
    ["anchors", firecrackerPurge, treeOfAnchors(firecrackerPurge)],
  ];
  for (const [name, purge, files] of fits) {
    const recipe = purging(rig, name, purge, files);
    const run = await rig.forge(recipe);
    assert.equal(run.ok, true, run.lines(name).join("\n"));
    const expected = [...examinePurge(purge, files).files].sort(([a], [b]) => (a < b ? -1 : 1));
    assert.deepEqual([...filesOf(rig.output(recipe))], expected);
  }
});

test("the script in the sandbox complains of what the engine complains of, and leaves the source as it was", async (t) => {
  const rig = await Rig.make(t);
  const main = "src/monitor/src/main.rs";
  const misfits: [string, string, SourceFiles][] = [
    ["moved", "E_PURGE_ANCHOR", withFile(workspace, main, (text) => text.replace("--log-path", "--log-file"))],
    ["doubled", "E_PURGE_ANCHOR", withFile(workspace, main, (text) => `${text}    "--version",\n`)],
    ["gone", "E_PURGE_ANCHOR", new Map([...workspace].filter(([file]) => !/helper|requests/.test(file)))],
    ["swapped", "E_PURGE_ANCHOR", withFile(workspace, main, swapFlags)],
    ["left", "E_PURGE_CHECK", withFile(workspace, "src/other.rs", () => "fn synthetic() { FlushCounters }\n")],
  ];
  for (const [name, code, files] of misfits) {
    const recipe = purging(rig, name, syntheticPurge, files);
    const run = await rig.forge(recipe);
    assert.equal(run.ok, false, name);
    const printed = run.lines(name);
    const start = printed.findIndex((line) => line.startsWith(code));
    assert.ok(start >= 0, `${name}: ${printed.join("\n")}`);
    const { complaints } = examinePurge(syntheticPurge, files);
    assert.ok(complaints.length > 0);
    assert.deepEqual(
      printed.slice(start + 1).map((line) => line.trim()),
      complaints,
    );
    const left = path.join(failedFolder(rig.store, rig.key(recipe), name), "build/source");
    assert.deepEqual(
      [...filesOf(left)],
      [...files].sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  }
});

function swapFlags(text: string): string {
  return text.replace('    "--log-path",\n    "--level",\n    "--version",\n', '    "--version",\n    "--log-path",\n');
}
