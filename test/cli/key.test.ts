import assert from "node:assert/strict";
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { keyId, newKey } from "../../src/inject/key-file.ts";
import { anvil, temporaryFolder, type Ended } from "./command-line.ts";

interface User {
  readonly file: string;
  readonly folder: string;
  readonly key: (...args: readonly string[]) => Promise<Ended>;
}

function user(t: TestContext): User {
  const folder = temporaryFolder(t);
  return {
    folder,
    file: path.join(folder, "anvil/ingot-key.pem"),
    key: (...args) => anvil(["key", ...args], { cache: folder, env: { XDG_CONFIG_HOME: folder } }),
  };
}

test("a key is made, shown and exported, and never replaced", async (t) => {
  const { key, file } = user(t);
  const none = await key();
  assert.equal(none.status, 1);
  assert.match(none.stderr, /^E_NO_KEY .*\n {2}hint: `anvil forge` makes one/);
  assert.equal(existsSync(file), false, "to look makes nothing");

  const made = await key("new");
  assert.equal(made.status, 0, made.stderr);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const before = readFileSync(file);

  const exported = (await key("export")).stdout;
  assert.match(exported, /^[0-9a-f]{64}\n$/);
  const shown = await key("show");
  assert.match(shown.stdout, new RegExp(`^key ${keyId(exported.trim())}  ${file}\n  public  ${exported}`));
  assert.equal(made.stdout, `key ${keyId(exported.trim())}  ${file}\n`);
  assert.doesNotMatch(shown.stdout + exported, /PRIVATE/);

  const again = await key("new");
  assert.equal(again.status, 1);
  assert.match(again.stderr, /^E_KEY_EXISTS/);
  assert.deepEqual(readFileSync(file), before);
});

test("a private key of another machine is taken over where there is none", async (t) => {
  const { key, file, folder } = user(t);
  const other = newKey();
  const from = path.join(folder, "other.pem");
  writeFileSync(from, other.pem);
  assert.equal((await key("import", from)).status, 0);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal((await key("export")).stdout, `${other.public}\n`);
  assert.match((await key("import", from)).stderr, /^E_KEY_EXISTS/);
});

test("a public key of somebody else is accepted from then on", async (t) => {
  const { key, folder } = user(t);
  await key("new");
  const other = newKey().public;
  writeFileSync(path.join(folder, "other.pub"), `${other}\n`);
  assert.equal((await key("import", path.join(folder, "other.pub"))).status, 0);
  const { trusted } = JSON.parse((await key("--json")).stdout) as { trusted: { id: string; public: string }[] };
  assert.deepEqual(
    trusted.map(({ id, public: publicKey }) => [id, publicKey]),
    [[keyId(other), other]],
  );
  assert.match((await key()).stdout, new RegExp(`also accepted: ${keyId(other)}`));
});

test("a key that others can read, or that is none, is refused by whatever needs it", async (t) => {
  const { key, file, folder } = user(t);
  await key("new");
  chmodSync(file, 0o644);
  const exposed = await key("export");
  assert.equal(exposed.status, 1);
  assert.match(exposed.stderr, /^E_KEY_PERMISSIONS .*\n {2}its mode is 0644\n {2}hint: chmod 600/);
  writeFileSync(file, "broken\n");
  chmodSync(file, 0o600);
  assert.match((await key("export")).stderr, /^E_KEY_FORMAT/);
  assert.match((await key("import", path.join(folder, "absent"))).stderr, /^E_NO_SUCH_FILE/);
  assert.equal((await key("import")).status, 2);
  assert.equal((await key("forget")).status, 2);
});
