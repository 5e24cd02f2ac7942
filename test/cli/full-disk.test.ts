import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { seedProgram } from "../../src/sandbox/sandbox.ts";
import { withSmallDisk } from "../forge/confined.ts";
import { ended, TinyProject } from "./tiny-project.ts";

test("on a full disk the command line says so, whatever it was about to write, and goes on once there is room", async (t) => {
  const project = await TinyProject.make(t);
  // bundles the program
  assert.equal((await project.anvil(["status"])).status, 1);
  const seed = project.store.outputs.records()[0];
  assert.ok(seed !== undefined);
  const tree = project.store.outputs.path(seed.key);
  const wrap = withSmallDisk(tree, project.cache, 16 << 20);
  const probe = wrap(process.execPath, ["-e", "0"]);
  if (spawnSync(probe.command, probe.args, { env: {} }).status !== 0) {
    return t.skip("this machine lets nobody mount a file system");
  }
  // with the folders there, all but so many pages are filled
  const script = `
cd "$CACHE"; anvil() { "$NODE" "$ANVIL" "$@"; }
dd() { "$LOADER" --library-path "$LIB" "$SEED/usr/bin/dd" "$@" 2> /dev/null; }
rm() { "$LOADER" --library-path "$LIB" "$SEED/usr/bin/rm" "$@"; }
anvil status > /dev/null
for pages in 0 1 2 4 8 16 32; do
  dd if=/dev/zero of=ballast bs=4096
  dd if=/dev/null of=ballast bs=4096 seek=$((4096 - pages)) 
  status=0
  anvil forge --channel debian --out "$OUT" 2>&1 || status=$?
  echo "status $status"
  rm -rf ballast
done
anvil forge --channel debian --out "$OUT" || exit
echo "status $?"
`;
  const lib = path.join(tree, "usr/lib/x86_64-linux-gnu");
  const shell = seedProgram(tree, "usr/bin/bash", ["-c", script]);
  const { command, args } = wrap(shell.command, shell.args);
  const env = {
    HOME: project.home,
    CACHE: project.cache,
    NODE: process.execPath,
    ANVIL: path.join(project.folder, "bin/anvil"),
    OUT: project.out,
    SEED: tree,
    LIB: lib,
    LOADER: path.join(lib, "ld-linux-x86-64.so.2"),
  };
  const { stdout, stderr } = await ended(spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] }));
  assert.equal(stderr, "");
  assert.doesNotMatch(stdout, /\n\s+at /, "no stack trace");
  const runs = stdout.split(/^status (\d)$/m);
  const statuses = runs.filter((_, index) => index % 2 === 1).map(Number);
  assert.equal(statuses.length, 8);
  assert.ok(statuses.filter((status) => status === 1).length >= 3, statuses.join(" "));
  statuses.forEach((status, index) => {
    if (status !== 0) assert.match(runs[2 * index] ?? "", /E_DISK_FULL {2}no space left for /);
  });
  assert.equal(statuses.at(-1), 0);
  assert.equal(readFileSync(path.join(project.out, "anvilos-phase2.iso"), "utf8"), "42\nhello\n");
});
