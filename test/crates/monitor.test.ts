import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { firecrackerPurge } from "../../recipes/firecracker/purge.ts";
import { firecrackerWith } from "../../recipes/firecracker.ts";
import { lockedCrates } from "../../src/format/cargo.ts";
import type { Change, Purge } from "../../src/recipe/purge.ts";
import { channelWith, component, forge, packed } from "./forge.ts";

// what it does to manifests and to whole folders; the rest is about code that is not ours to have here
const isInWorkspace = (change: Change): boolean =>
  "removes" in change ? /^src\/[a-z-]+$/.test(change.removes) : change.file.endsWith("Cargo.toml");
const purge: Purge = {
  of: "a workspace with the crates of Firecracker 1.14",
  changes: firecrackerPurge.changes.filter(isInWorkspace),
  checks: firecrackerPurge.checks.filter(({ below }) => below.endsWith("Cargo.toml")),
};

test("the recipe of Firecracker compiles a workspace with its crates, and the program runs", async () => {
  const monitor = await packed("test/crates/monitor");
  const channel = await channelWith({
    firecracker: component("1.14.0", monitor),
    "micro-http": component("0.1.0", await packed("test/crates/micro-http")),
  });
  const { program, source } = firecrackerWith(purge);
  assert.ok(purge.changes.length > 15);
  const { tree, evaluation } = await forge(program, channel);

  const lock = readFileSync(path.join((await forge(source, channel)).tree, "usr/src/firecracker/Cargo.lock"), "utf8");
  const fetched = [...evaluation.nodes.values()].flatMap(({ derivation }) =>
    derivation.kind === "fetch" && derivation.crate !== undefined ? [`${derivation.crate} ${derivation.version}`] : [],
  );
  for (const { crate, version } of lockedCrates(lock)) assert.ok(fetched.includes(`${crate} ${version}`), crate);

  const { status, stdout, stderr } = spawnSync(path.join(tree, "usr/bin/firecracker"), { encoding: "utf8", env: {} });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^25 crates hold\n$/);
});
