/**
 * Builds recipes once more and compares every byte: elsewhere, with another number of jobs, an empty PATH, and when root
 * runs the tests, as a user without privileges where such a user reaches the folder beside the store.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, cpSync, existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import type { TestContext } from "node:test";
import { keyPaths } from "../src/inject/key-file.ts";
import { storePaths } from "../src/store/paths.ts";
import { removeTree } from "../src/host/remove-tree.ts";
import { DiskStore } from "../src/store/disk-store.ts";
import { nobody } from "./forge/rig.ts";
import { secondStore } from "./second-store.ts";
import { project } from "./this-project.ts";

/** The system names the keys whose ingots and logins it accepts: the same image needs the same keys. */
function copyKeys(folder: string, user: number | undefined): void {
  const { own, trusted, logins } = project.keys;
  const copy = keyPaths({ XDG_CONFIG_HOME: folder }, "/");
  mkdirSync(path.dirname(copy.own), { recursive: true });
  if (existsSync(trusted)) cpSync(trusted, copy.trusted, { recursive: true });
  if (existsSync(logins)) copyFileSync(logins, copy.logins);
  copyFileSync(own, copy.own);
  chmodSync(copy.own, 0o600);
  if (user !== undefined) chownSync(copy.own, user, user);
}

export async function assertReproducible(t: TestContext, names: readonly string[], jobs: number): Promise<void> {
  const store = project.store;
  const all = await project.targets();
  const targets = names.map((name) => all.find(name, true));
  const { channel } = await project.selectChannel("auto");
  const evaluation = project.evaluate(targets, channel);
  const cache = secondStore(store, new Set(names));
  t.after(() => removeTree(cache));
  const user = nobody(cache);
  if (user !== undefined) for (const name of ["", "sources", "store"]) chownSync(path.join(cache, name), user, user);
  const config = path.join(cache, "config");
  copyKeys(config, user);
  const args = [
    path.join(project.root, "bin/anvil"),
    "forge",
    "--root-login",
    ...names,
    "--channel",
    channel.name,
    "-j",
    String(jobs),
  ];
  const child = spawn(process.execPath, args, {
    env: { HOME: "/", ANVIL_CACHE: cache, XDG_CONFIG_HOME: config },
    ...(user === undefined ? {} : { uid: user, gid: user }),
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (data: Buffer) => (output += data.toString("utf8")));
  assert.equal(await new Promise((resolve) => child.on("close", resolve)), 0, output);
  const second = DiskStore.open(storePaths({ ANVIL_CACHE: cache }, "/"));
  for (const [index, key] of evaluation.targets.entries()) {
    const [first, again] = await Promise.all([store.outputs.digest(key), second.outputs.digest(key)]);
    assert.ok(first !== undefined && again !== undefined, `${names[index]} was not built`);
    assert.equal(again, first, `${names[index]} differs`);
  }
}
