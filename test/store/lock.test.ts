import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import { isAlive, lockHolder, ownerName, startTime, tryLock } from "../../src/store/lock.ts";
import { bundled, temporaryFolder } from "../forge/rig.ts";

const locker = bundled("test/store/locker");

function lockFolder(t: TestContext): string {
  const folder = path.join(temporaryFolder(t), "locks");
  mkdirSync(folder);
  return folder;
}

/** A process that holds the lock until it is killed. */
async function holder(folder: string, name: string) {
  const child = spawn(process.execPath, [locker, "hold", folder, name], { stdio: ["pipe", "pipe", "inherit"] });
  await once(child.stdout, "data");
  return child;
}

test("a lock is had by one, and then by the next", (t) => {
  const folder = lockFolder(t);
  const first = tryLock(folder, "key");
  assert.ok("release" in first);
  assert.deepEqual(tryLock(folder, "key"), { heldBy: ownerName() });
  assert.ok("release" in tryLock(folder, "other key"));
  first.release();
  assert.ok("release" in tryLock(folder, "key"));
});

test("a lock that another process holds names it, and is free when that process is killed", async (t) => {
  const folder = lockFolder(t);
  const child = await holder(folder, "key");
  const refused = tryLock(folder, "key");
  assert.ok("heldBy" in refused);
  assert.equal(refused.heldBy.split(".")[0], String(child.pid));
  assert.equal(lockHolder(folder, "key"), refused.heldBy);
  child.kill("SIGKILL");
  await once(child, "close");
  assert.equal(lockHolder(folder, "key"), undefined);
  assert.ok("release" in tryLock(folder, "key"));
  assert.deepEqual(readdirSync(folder), ["key"], "nothing else is left behind");
});

test("a process that was given the id of a dead owner does not have its lock", (t) => {
  const folder = lockFolder(t);
  const [pid, started, boot] = ownerName().split(".");
  const impostor = `${pid}.${Number(started) - 1}.${boot}`;
  assert.equal(isAlive(impostor), false);
  writeFileSync(path.join(folder, "key"), impostor);
  assert.ok("release" in tryLock(folder, "key"));
});

test("a lock from before the last start of the machine is void, as is one that a power cut left empty", (t) => {
  const folder = lockFolder(t);
  const [pid, started] = ownerName().split(".");
  for (const content of [`${pid}.${started}.11111111-2222-3333-4444-555555555555`, ""]) {
    writeFileSync(path.join(folder, "key"), content);
    const lock = tryLock(folder, "key");
    assert.ok("release" in lock);
    lock.release();
  }
});

test("a process that has ended is not alive", async () => {
  const child = spawn(process.execPath, ["-e", "0"]);
  await once(child, "close");
  assert.equal(startTime(child.pid ?? 0), undefined);
  assert.equal(startTime(process.pid), ownerName().split(".")[1]);
});

test("many at once, some of which are killed while they have it, are never two", { timeout: 300_000 }, async (t) => {
  const folder = lockFolder(t);
  const contend = async (die: boolean): Promise<string> => {
    const args = [locker, "contend", folder, "key", "60", die ? "yes" : "no"];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    return text(child.stdout);
  };
  const said = await Promise.all([true, false, true, false, true, false].map(contend));
  assert.deepEqual(said, ["", "crowded 0\n", "", "crowded 0\n", "", "crowded 0\n"]);
});
