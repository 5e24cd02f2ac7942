/** Which kind of ISO a command means: with a root shell on its consoles, or without. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { anvil, temporaryFolder } from "./command-line.ts";

const LOGIN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

/** Names of what `anvil graph` would build, for a user with or without SSH keys. */
async function planned(t: TestContext, logins: boolean, ...args: readonly string[]): Promise<string[]> {
  const folder = temporaryFolder(t);
  mkdirSync(path.join(folder, "anvil"));
  if (logins) writeFileSync(path.join(folder, "anvil/authorized_keys"), `${LOGIN} me\n`);
  const command = ["graph", "--channel", "debian", "--json", ...args];
  const { status, stdout, stderr } = await anvil(command, { cache: folder, env: { XDG_CONFIG_HOME: folder } });
  assert.equal(status, 0, stderr);
  const { nodes } = JSON.parse(stdout) as { nodes: { name: string }[] };
  return nodes.map(({ name }) => name).filter((name) => /^(iso|rootfs|initramfs-image)(-no-login)?$/.test(name));
}

const open = ["initramfs-image", "iso", "rootfs"];
const closed = open.map((name) => `${name}-no-login`);

test("consoles are a root shell only where nobody could log in otherwise, or when that is said", async (t) => {
  const sorted = async (...of: Parameters<typeof planned>): Promise<string[]> => (await planned(...of)).sort();
  assert.deepEqual(await sorted(t, false), open);
  assert.deepEqual(await sorted(t, true), closed);
  assert.deepEqual(await sorted(t, false, "--no-root-login"), closed);
  assert.deepEqual(await sorted(t, true, "--root-login"), open);
});

test("a recipe that is named is that of the kind that is meant", async (t) => {
  assert.deepEqual(await planned(t, true, "rootfs"), ["rootfs-no-login"]);
  assert.deepEqual(await planned(t, true, "rootfs", "--root-login"), ["rootfs"]);
  assert.deepEqual(await planned(t, false, "rootfs-no-login"), ["rootfs-no-login"]);
});

test("both at once is wrong usage", async (t) => {
  for (const command of ["forge", "graph", "status"]) {
    const { status, stderr } = await anvil([command, "--root-login", "--no-root-login"], { cache: temporaryFolder(t) });
    assert.deepEqual([status, stderr.slice(0, 9)], [2, "E_USAGE  "]);
  }
});
