import assert from "node:assert/strict";
import { test } from "node:test";
import { anvil, temporaryFolder } from "./command-line.ts";

/** The commands that `anvil --help` lists, with their summaries. */
async function commands(cache: string): Promise<readonly string[]> {
  const { status, stdout } = await anvil(["--help"], { cache });
  assert.equal(status, 0);
  return [...stdout.matchAll(/^ {2}([a-z]+) +\S/gm)].map((match) => match[1] ?? "");
}

test("without a command all commands are listed, each with a summary", async (t) => {
  const cache = temporaryFolder(t);
  const names = await commands(cache);
  for (const name of ["forge", "fetch", "boot", "report", "lock", "doctor"]) assert.ok(names.includes(name), name);
  assert.deepEqual(await anvil([], { cache }), await anvil(["--help"], { cache }));
});

test("every command has help with its usage, examples and exit status", async (t) => {
  const cache = temporaryFolder(t);
  for (const name of await commands(cache)) {
    const { status, stdout, stderr } = await anvil([name, "--help"], { cache });
    assert.equal(status, 0, name);
    assert.equal(stderr, "", name);
    assert.match(stdout, new RegExp(`^usage: anvil ${name}\\b`), name);
    assert.match(stdout, new RegExp(`^examples:\n {2}anvil ${name}`, "m"), name);
    assert.match(stdout, /^exit status: /m, name);
    assert.equal((await anvil(["help", name], { cache })).stdout, stdout, name);
  }
});

test("an unknown command is wrong usage and the commands are named", async (t) => {
  const { status, stdout, stderr } = await anvil(["froge"], { cache: temporaryFolder(t) });
  assert.equal(status, 2);
  assert.equal(stdout, "");
  assert.match(stderr, /^E_USAGE {2}there is no command "froge"\n {2}hint: commands: forge, /);
  assert.doesNotMatch(stderr, /\n\s+at /);
});

test("an unknown option of any command is wrong usage, without a stack trace", async (t) => {
  const cache = temporaryFolder(t);
  for (const name of await commands(cache)) {
    const { status, stdout, stderr } = await anvil([name, "--no-such-option"], { cache });
    assert.equal(status, 2, name);
    assert.equal(stdout, "", name);
    assert.match(stderr, /^E_USAGE {2}Unknown option '--no-such-option'/, name);
    assert.match(stderr, new RegExp(`^ {2}usage: anvil ${name}\\b`, "m"), name);
    assert.doesNotMatch(stderr, /\n\s+at /, name);
  }
});

test("with --json a fault is an object", async (t) => {
  const { status, stderr } = await anvil(["graph", "--json", "--nonsense"], { cache: temporaryFolder(t) });
  assert.equal(status, 2);
  const { error } = JSON.parse(stderr) as { error: { code: string; hint: string } };
  assert.equal(error.code, "E_USAGE");
});
