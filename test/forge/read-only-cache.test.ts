import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { Fault } from "../../src/fault/fault.ts";
import { DiskStore } from "../../src/store/disk-store.ts";
import { withReadOnlyCache } from "./confined.ts";
import { cachePaths, nobody, Rig, step, temporaryFolder, type ForgeProcess } from "./rig.ts";

const simple = step("simple", "echo > /out/file");
const isRoot = process.getuid?.() === 0;

async function assertRefused(forge: ForgeProcess, cache: string): Promise<void> {
  const { status, stderr } = await forge.ended;
  const [first, second = "", third, ...rest] = stderr.trim().split("\n");
  assert.equal(first, `E_READ_ONLY  cannot write to the cache folder ${cache}`);
  assert.match(second, /^ {2}E(?:ROFS|ACCES): /);
  assert.equal(third, "  hint: make it writable, or choose another with ANVIL_CACHE=<folder>");
  assert.deepEqual(rest, []);
  assert.equal(status, 3);
  assert.deepEqual(forge.events, []);
}

/** Names of everything in the store's folders. */
function contents(rig: Rig): string[] {
  const { sources, outputs, tmp, locks, logs } = rig.store.paths;
  return [sources, outputs, tmp, locks, logs].flatMap((folder) =>
    readdirSync(folder).map((name) => path.join(folder, name)),
  );
}

async function makeRig(t: TestContext): Promise<{ rig: Rig; cache: string; before: string[] }> {
  const rig = await Rig.make(t);
  return { rig, cache: rig.store.paths.top, before: contents(rig) };
}

test("a cache folder on a read-only file system is refused in one sentence", async (t) => {
  const { rig, cache, before } = await makeRig(t);
  const wrap = withReadOnlyCache(rig.seedTree, cache);
  const probe = wrap(process.execPath, ["-e", "0"]);
  if (spawnSync(probe.command, probe.args, { env: {} }).status !== 0) {
    return t.skip("this machine lets nobody mount a file system");
  }
  await assertRefused(rig.spawn(simple, { wrap }), cache);
  assert.deepEqual(contents(rig), before);
});

test("a cache folder that belongs to somebody else is refused in one sentence", async (t) => {
  const { rig, cache, before } = await makeRig(t);
  const uid = nobody();
  if (isRoot && uid === undefined) return t.skip("no other user can read this project");
  for (const folder of [cache, rig.store.paths.tmp]) chmodSync(folder, 0o555);
  await assertRefused(rig.spawn(simple, uid === undefined ? {} : { uid }), cache);
  assert.deepEqual(contents(rig), before);
});

test("a cache folder that cannot be made, because a file is in its place, is refused in one sentence", (t) => {
  const file = path.join(temporaryFolder(t), "file");
  writeFileSync(file, "");
  assert.throws(
    () => DiskStore.open(cachePaths(file)),
    (error) => error instanceof Fault && error.code === "E_READ_ONLY" && /^ENOTDIR/.test(error.details[0] ?? ""),
  );
});
