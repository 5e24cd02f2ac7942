import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import { describeOwner, isElsewhere, Owners } from "../../src/host/owner.ts";
import { identify } from "../../src/host/process.ts";
import { Locks } from "../../src/store/lock.ts";
import { inContainer } from "../forge/confined.ts";
import { bundled, Rig, temporaryFolder } from "../forge/rig.ts";

const locker = bundled("test/store/locker");

interface Place {
  readonly folder: string;
  readonly owners: Owners;
  readonly locks: Locks;
}

function place(t: TestContext): Place {
  const folder = path.join(temporaryFolder(t), "locks");
  mkdirSync(folder);
  const owners = new Owners(path.join(folder, "../alive"));
  return { folder, owners, locks: new Locks(folder, owners) };
}

type Wrap = ReturnType<typeof inContainer>;
const here: Wrap = (command, args) => ({ command, args });

/** A process that holds the lock until it is killed. */
async function holder(folder: string, name: string, wrap = here, mode: "hold" | "halt" = "hold") {
  const { command, args } = wrap(process.execPath, [locker, mode, folder, name]);
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  await once(child.stdout, "data");
  return child;
}

/** Who has the lock, asked by another process. */
function asked(folder: string, name: string, wrap = here): Promise<string> {
  const { command, args } = wrap(process.execPath, [locker, "try", folder, name]);
  return text(spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] }).stdout);
}

test("a lock is had by one, and then by the next", async (t) => {
  const { owners, locks } = place(t);
  const first = await locks.take("key");
  assert.ok("release" in first);
  assert.deepEqual(await locks.take("key"), { heldBy: owners.self() });
  assert.ok("release" in (await locks.take("other key")));
  first.release();
  assert.ok("release" in (await locks.take("key")));
});

test("a lock that another process holds names it, and is free when that process is killed", async (t) => {
  const { folder, locks } = place(t);
  const child = await holder(folder, "key");
  const refused = await locks.take("key");
  assert.ok("heldBy" in refused);
  assert.equal(describeOwner(refused.heldBy), `process ${child.pid}`);
  assert.equal(await locks.holder("key"), refused.heldBy);
  child.kill("SIGKILL");
  await once(child, "close");
  assert.equal(await locks.holder("key"), undefined);
  assert.ok("release" in (await locks.take("key")));
  assert.deepEqual(readdirSync(folder), ["key"], "nothing else is left behind");
});

test("a lock that a process of another container holds is held, until that process is killed", async (t) => {
  const { seedTree } = await Rig.make(t);
  const { folder, locks } = place(t);
  const child = await holder(folder, "key", inContainer(seedTree));
  const refused = await locks.take("key");
  assert.ok("heldBy" in refused, "its process cannot be seen from here");
  assert.match(describeOwner(refused.heldBy), /^process \d+ of another container$/);
  assert.match(await asked(folder, "key", inContainer(seedTree)), /^held process \d+ of another container\n$/);
  child.kill("SIGKILL");
  await once(child, "close");
  const lock = await locks.take("key");
  assert.ok("release" in lock);
  assert.match(await asked(folder, "key", inContainer(seedTree)), /^held process \d+ of another container\n$/);
  lock.release();
  assert.equal(await asked(folder, "key", inContainer(seedTree)), "free\n");
});

test("a process that is stopped, and so cannot answer by itself, is alive all the same", async (t) => {
  const { seedTree } = await Rig.make(t);
  const { folder, locks } = place(t);
  const child = await holder(folder, "key", inContainer(seedTree), "halt");
  assert.ok("heldBy" in (await locks.take("key")));
  child.kill("SIGKILL");
  await once(child, "close");
});

test("the cache folder may have a path that is too long for a socket's address", async (t) => {
  const { seedTree } = await Rig.make(t);
  const folder = path.join(temporaryFolder(t), "long".repeat(40), "locks");
  mkdirSync(folder, { recursive: true });
  const child = await holder(folder, "key", inContainer(seedTree));
  assert.match(await asked(folder, "key"), /^held process \d+ of another container\n$/);
  child.kill("SIGKILL");
  await once(child, "close");
  assert.equal(await asked(folder, "key"), "free\n");
});

test("an owner of another namespace that never listened is dead, and one that says it cannot is not", async (t) => {
  const { folder, owners } = place(t);
  const [pid, started, boot, space] = owners.self().split(".");
  const stranger = `${pid}.${started}.${boot}.${Number(space) + 1}`;
  assert.equal(await owners.isAlive(stranger), false);
  assert.equal(await owners.isAlive(`${stranger}m`), true);
  const server = createServer().listen(path.join(folder, "../alive", stranger));
  assert.equal(await owners.isAlive(stranger), true);
  server.close();
  assert.equal(await owners.isAlive(stranger), false);
});

test("a process that was given the id of a dead owner does not have its lock", async (t) => {
  const { folder, owners, locks } = place(t);
  const [pid, started, ...rest] = owners.self().split(".");
  const impostor = [pid, Number(started) - 1, ...rest].join(".");
  assert.equal(await owners.isAlive(impostor), false);
  writeFileSync(path.join(folder, "key"), impostor);
  assert.ok("release" in (await locks.take("key")));
});

test("a lock of an earlier version, whose owners named no namespace, is understood", async (t) => {
  const { folder, owners, locks } = place(t);
  const [pid, started, boot] = owners.self().split(".");
  writeFileSync(path.join(folder, "key"), `${pid}.${started}.${boot}`);
  assert.deepEqual(await locks.take("key"), { heldBy: `${pid}.${started}.${boot}` });
});

test("a lock from before the last start of the machine is void, as is one that a power cut left empty", async (t) => {
  const { folder, owners, locks } = place(t);
  const [pid, started, , space] = owners.self().split(".");
  const before = `${pid}.${started}.11111111-2222-3333-4444-555555555555.${space}`;
  assert.equal(isElsewhere(before), true);
  for (const content of [before, ""]) {
    writeFileSync(path.join(folder, "key"), content);
    const lock = await locks.take("key");
    assert.ok("release" in lock);
    lock.release();
  }
});

test("a process that has ended is not alive, and leaves no socket when it ends by itself", async (t) => {
  const child = spawn(process.execPath, ["-e", "0"]);
  await once(child, "close");
  assert.equal(identify(child.pid ?? 0), undefined);
  const { folder } = place(t);
  assert.equal(await asked(folder, "key"), "free\n");
  assert.ok(existsSync(path.join(folder, "../alive")));
  assert.deepEqual(readdirSync(path.join(folder, "../alive")), []);
});

test("many at once, some of which are killed while they have it, are never two", { timeout: 300_000 }, async (t) => {
  const { folder } = place(t);
  const contend = async (die: boolean): Promise<string> => {
    const args = [locker, "contend", folder, "key", "60", die ? "yes" : "no"];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    return text(child.stdout);
  };
  const said = await Promise.all([true, false, true, false, true, false].map(contend));
  assert.deepEqual(said, ["", "crowded 0\n", "", "crowded 0\n", "", "crowded 0\n"]);
});
