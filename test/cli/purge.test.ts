import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { firecrackerPurge } from "../../recipes/firecracker/purge.ts";
import { examinePurge, type SourceFiles } from "../../src/recipe/purge.ts";
import { filesOf, treeOfAnchors } from "../purge/synthetic.ts";
import { anvil, temporaryFolder } from "./command-line.ts";

const fitting = treeOfAnchors(firecrackerPurge);
const main = "src/firecracker/src/main.rs";

function write(folder: string, files: SourceFiles): string {
  for (const [name, text] of files) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
  }
  return folder;
}

test("a source that fits is said to fit, for people and for programs", async (t) => {
  const cache = temporaryFolder(t);
  const source = write(temporaryFolder(t), fitting);
  const { status, stdout } = await anvil(["purge", "--check", source], { cache });
  assert.equal(status, 0);
  assert.match(stdout, /^src\/jailer +1 of 1$/m);
  assert.match(stdout, /all \d+ anchors and \d+ checks hold\n$/);
  const json = await anvil(["purge", "--check", source, "--json"], { cache });
  const facts = JSON.parse(json.stdout) as { holds: boolean; anchors: { times: number }[] };
  assert.equal(facts.holds, true);
  assert.ok(facts.anchors.every(({ times }) => times === 1));
});

test("what moved is named, and no copy is made", async (t) => {
  const cache = temporaryFolder(t);
  const moved = new Map(fitting).set(main, (fitting.get(main) ?? "").replace("mod metrics;\n", ""));
  const source = write(temporaryFolder(t), moved);
  const { status, stdout } = await anvil(["purge", "--check", source], { cache });
  assert.equal(status, 1);
  assert.match(stdout, /^ {2}src\/firecracker\/src\/main\.rs: 0 times "mod metrics;\\n"$/m);
  const folder = temporaryFolder(t);
  const applied = await anvil(["purge", "--apply", source, "--to", path.join(folder, "purged")], { cache });
  assert.equal(applied.status, 1);
  assert.match(applied.stderr, /^E_PURGE_ANCHOR {2}/);
  assert.deepEqual(readdirSync(folder), []);
  assert.deepEqual([...filesOf(source)].length, moved.size);
});

test("what has to go and is still there is named", async (t) => {
  const source = write(temporaryFolder(t), new Map(fitting).set("src/vmm/src/other.rs", "init_metrics();\n"));
  const to = path.join(temporaryFolder(t), "purged");
  const { status, stderr } = await anvil(["purge", "--apply", source, "--to", to], { cache: temporaryFolder(t) });
  assert.equal(status, 1);
  assert.match(stderr, /^E_PURGE_CHECK {2}[^]*src\/vmm\/src\/other\.rs: still holds init_metrics/);
  assert.equal(existsSync(to), false);
});

test("a purged copy is made, and the source is left as it was", async (t) => {
  const source = write(temporaryFolder(t), fitting);
  const folder = temporaryFolder(t);
  const to = path.join(folder, "purged");
  const { status, stderr } = await anvil(["purge", "--apply", source, "--to", to], { cache: temporaryFolder(t) });
  assert.equal(status, 0, stderr);
  const sorted = (files: SourceFiles) => [...files].sort(([a], [b]) => (a < b ? -1 : 1));
  assert.deepEqual(sorted(filesOf(to)), sorted(examinePurge(firecrackerPurge, fitting).files));
  assert.deepEqual(sorted(filesOf(source)), sorted(fitting));
  assert.equal(existsSync(path.join(to, "src/jailer")), false);
  assert.deepEqual(readdirSync(folder), ["purged"]);
});

test("what is no source of Firecracker, and what is asked for wrongly, is refused", async (t) => {
  const cache = temporaryFolder(t);
  const empty = temporaryFolder(t);
  const file = path.join(empty, "file");
  writeFileSync(file, "");
  for (const wrong of [empty, file, path.join(empty, "absent")]) {
    const { status, stderr } = await anvil(["purge", "--check", wrong], { cache });
    assert.equal(status, 1);
    assert.match(stderr, /^E_PURGE_SOURCE {2}/, wrong);
  }
  for (const args of [
    [],
    [empty],
    ["--check", empty, "--apply", empty],
    ["--apply", empty],
    ["--check", empty, "--to", "x"],
  ]) {
    const { status, stderr } = await anvil(["purge", ...args], { cache });
    assert.equal(status, 2, args.join(" "));
    assert.match(stderr, /^E_USAGE {2}/);
  }
  const taken = await anvil(["purge", "--apply", empty, "--to", empty], { cache });
  assert.equal(taken.status, 2);
});
