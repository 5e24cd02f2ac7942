/** What reads the output may end before all of it is written. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { seedBase } from "../../recipes/seed.ts";
import { seedProgram } from "../../src/sandbox/sandbox.ts";
import type { Ended } from "./command-line.ts";
import { ended, TinyProject } from "./tiny-project.ts";

const cleaning: (() => void)[] = [];
let project: TinyProject;

before(async () => {
  project = await TinyProject.make({ after: (act) => cleaning.push(act) });
  const forged = await project.anvil(["forge", "--channel", "debian"]);
  assert.equal(forged.status, 0, forged.stderr);
  assert.equal((await project.anvil(["key", "new"])).status, 0);
});

after(() => cleaning.forEach((act) => act()));

/** Runs a command whose output goes where `script`, of bash, sends it; "$@" is the command. */
function redirected(script: string, args: readonly string[]): Promise<Ended> {
  const seed = project.store.outputs
    .records()
    .find(({ name }) => name === `seed-${seedBase.name}` || name === seedBase.name);
  assert.ok(seed !== undefined);
  const command = [process.execPath, path.join(project.folder, "bin/anvil"), ...args];
  const shell = seedProgram(project.store.outputs.path(seed.key), "usr/bin/bash", ["-c", script, "bash", ...command]);
  return ended(spawn(shell.command, shell.args, { cwd: project.folder, env: { HOME: project.home } }));
}

/** A pipe whose only reader is gone before the command starts. */
const CLOSED = 'exec 9> >(:); wait $!; "$@"';

const commands: readonly (readonly string[])[] = [
  ["--help"],
  ["help", "forge"],
  ["forge", "--channel", "debian"],
  ["forge", "--channel", "debian", "--json"],
  ["forge", "--channel", "debian", "--plain"],
  ["fetch", "--channel", "debian"],
  ["graph", "--channel", "debian"],
  ["graph", "--channel", "debian", "--json"],
  ["status", "--channel", "debian"],
  ["why", "base", "--channel", "debian"],
  ["log", "base"],
  ["log", "base", "--path"],
  ["key", "show"],
  ["report"],
  ["verify"],
  ["gc", "--dry-run"],
  ["doctor", "--debian-mirror", "http://127.0.0.1:1"],
];

for (const args of commands) {
  test(`anvil ${args.join(" ")} ends without a word when nobody reads`, async () => {
    const { status, stderr } = await redirected(`${CLOSED} >&9`, args);
    assert.equal(stderr, "");
    assert.equal(status, 141);
  });
}

test("that nobody reads complaints changes nothing: the status says it all", async () => {
  assert.deepEqual(await redirected(`${CLOSED} 2>&9`, ["forge", "nothing-like-that"]), {
    status: 1,
    stdout: "",
    stderr: "",
  });
  assert.equal((await redirected(`${CLOSED} >&9 2>&9`, ["graph", "--channel", "debian"])).status, 141);
});

test("a reader that takes only the first line gets it", async () => {
  const script = 'set -o pipefail; "$@" | { read -r line; echo "$line"; }';
  const { status, stdout, stderr } = await redirected(script, ["graph", "--channel", "debian", "--all", "--json"]);
  assert.equal(stdout, "{\n");
  assert.equal(stderr, "");
  // what fits into the pipe is written before the reader has gone
  assert.ok(status === 0 || status === 141, String(status));
});

test("a build whose output nobody reads any more stops in order", async () => {
  project.edit("echo 42 > /out/number", "while :; do echo more; done");
  const script = `set -o pipefail; "$@" | while read -r line; do case $line in *more*) break ;; esac; done`;
  const { status, stderr } = await redirected(script, ["forge", "--channel", "debian", "--json"]);
  assert.equal(stderr, "");
  assert.equal(status, 141);
  assert.deepEqual(readdirSync(project.store.paths.tmp), []);
});

test("a disk that is full is not taken for a reader that has gone", async () => {
  for (const args of [["graph", "--channel", "debian"], ["log", "base"], ["--help"]]) {
    const { status, stderr } = await redirected('"$@" > /dev/full', args);
    assert.match(stderr, /^E_STDOUT {2}the output cannot be written: .*ENOSPC/);
    assert.doesNotMatch(stderr, /\n\s+at /);
    assert.equal(status, 1);
  }
});

test("a mistake in the program says where, without what steers a terminal", async () => {
  writeFileSync(path.join(project.folder, "channels/debian.json"), '{"name": "\\u001b[31m"');
  const { status, stderr } = await redirected('"$@"', ["graph", "--channel", "debian"]);
  assert.equal(status, 1);
  assert.doesNotMatch(stderr, /[\x1b\x9b]/);
});
