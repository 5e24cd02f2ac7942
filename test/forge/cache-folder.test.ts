/** Cache folders that cannot hold outputs, or that several machines or containers share. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { findMount } from "../../src/host/file-system.ts";
import { makeSocketFolder, removeSocketFolder } from "../../src/vm/socket-folder.ts";
import { findMachine, listMachines, refuseIfRunning } from "../../src/vm/state.ts";
import type { Fault } from "../../src/fault/fault.ts";
import { checkCache, writableByOthers } from "../../src/store/fitness.ts";
import { inContainer, toldOfMounts, withoutExecution } from "./confined.ts";
import { bundled, holdHere, Rig, step, temporaryFolder } from "./rig.ts";

const simple = step("simple", "echo > /out/file");

test("a cache folder whose programs cannot be started is refused before any work, with the reason", async (t) => {
  const rig = await Rig.make(t, { ownSeed: true });
  const cache = rig.store.paths.top;
  // what wraps the forge runs from another folder
  const { seedTree } = await Rig.make(t);
  const { status, stderr } = await rig.spawn(simple, { wrap: withoutExecution(seedTree, cache) }).ended;
  const [first, second = "", third = ""] = stderr.trim().split("\n");
  assert.equal(first, `E_CACHE_NOEXEC  programs in the cache folder ${cache} cannot be started`);
  assert.match(second, /^ {2}\S*anvil-test-\S*\/cache \(\S+\) is mounted with noexec$/);
  assert.match(third, /^ {2}hint: .*ANVIL_CACHE=<folder>, or mount -o remount,exec /);
  assert.equal(status, 3);
  assert.deepEqual(readdirSync(rig.store.paths.tmp), []);
});

test("a cache folder without hard links, or that forgets permissions, is refused with what it lacks", async (t) => {
  const rig = await Rig.make(t);
  checkCache(rig.store);
  // the system call that is refused, in the place of a file system that does not know it
  for (const [call, lacks] of Object.entries({
    linkSync: "hard links",
    symlinkSync: "symbolic links",
    chmodSync: "permissions",
  })) {
    const script = `
      const fs = require("node:fs");
      fs.${call} = () => { throw Object.assign(new Error("EPERM: operation not permitted"), { code: "EPERM" }); };
      require("node:module").syncBuiltinESMExports();
      process.argv.splice(1, 1);
      import(process.argv[1]);
    `;
    const file = path.join(rig.top, "refuse.cjs");
    writeFileSync(file, script);
    const program = bundled("test/forge/cache-check");
    const { stdout, stderr } = spawnSync(process.execPath, [file, program, rig.store.paths.top], { encoding: "utf8" });
    assert.equal(stderr, "");
    const [code, detail] = stdout.trim().split("\n");
    assert.equal(code, "E_CACHE_FILE_SYSTEM");
    assert.match(detail ?? "", new RegExp(`^it does not keep ${lacks}: \\S+ at /`));
  }
});

test("the mount of a folder is the last one of the longest above it", () => {
  const line = (at: string, type: string, options = "rw"): string =>
    `1 2 0:3 / ${at} ${options} shared:1 - ${type} source rw`;
  const mounts = [
    line("/", "ext4"),
    line("/home", "nfs4"),
    line("/home/me/with\\040space", "tmpfs", "rw,noexec"),
    line("/home", "xfs"),
    line("/homework", "fuse.sshfs"),
  ].join("\n");
  assert.equal(findMount(mounts, "/etc")?.type, "ext4");
  assert.equal(findMount(mounts, "/home/you")?.type, "xfs");
  assert.deepEqual(findMount(mounts, "/home/me/with space/x"), {
    type: "tmpfs",
    mountPoint: "/home/me/with space",
    noexec: true,
    network: false,
  });
  assert.equal(findMount(mounts, "/homework")?.network, true);
});

test("on a network file system a lock of another machine is refused, not taken over, and the forge says where it is", async (t) => {
  const rig = await Rig.make(t);
  const mountinfo = path.join(rig.top, "mountinfo");
  writeFileSync(mountinfo, `1 1 0:1 / / rw - ext4 /dev/vda rw\n2 1 0:2 / ${rig.top} rw - nfs4 server:/home rw\n`);
  const wrap = toldOfMounts(rig.seedTree, mountinfo);
  const lock = path.join(rig.store.paths.locks, rig.key(simple));
  const [pid, started, , space] = rig.store.owners.self().split(".");
  writeFileSync(lock, `${pid}.${started}.11111111-2222-3333-4444-555555555555.${space}`);
  const refused = rig.spawn(simple, { wrap });
  assert.equal((await refused.ended).status, 1);
  const notice = refused.events.find((event) => event.type === "notice");
  assert.match(notice?.type === "notice" ? notice.text : "", /on a network file system \(nfs4 at \S+\)/);
  const failed = refused.events.find((event) => event.type === "failed");
  assert.ok(failed?.type === "failed");
  assert.equal(failed.fault.code, "E_CACHE_NETWORK");
  assert.deepEqual(failed.fault.details, [`lock: ${lock}`]);
  assert.ok(existsSync(lock));
  // elsewhere such a lock is of before the last start of this machine
  assert.deepEqual(await rig.spawn(simple).ended, { status: 0, stderr: "" });
  assert.equal(existsSync(lock), false);
});

test("a folder in which others may write is noticed", (t) => {
  const folder = temporaryFolder(t);
  assert.equal(writableByOthers(folder), undefined);
  chmodSync(folder, 0o777);
  assert.match(writableByOthers(folder) ?? "", /other users/);
});

test("two forges in two containers with one cache folder share the work", async (t) => {
  const rig = await Rig.make(t);
  const gate = step("gate", `${holdHere}; echo open > /out/gate`);
  const after = step("after", "cp /in/gate/gate /out/after", { inputs: [gate] });
  const wrap = inContainer(rig.seedTree);
  const first = rig.spawn(after, { wrap });
  await first.line("gate", "held");
  const second = rig.spawn(after, { wrap });
  await second.event((event) => event.type === "waiting" && event.on === "lock");
  const waiting = second.events.find((event) => event.type === "waiting" && event.on === "lock");
  assert.match(waiting?.type === "waiting" ? waiting.detail : "", /^process \d+ of another container$/);
  assert.deepEqual(await rig.store.abandoned(), [], "neither loses its work folder");
  rig.release("gate");
  for (const forge of [first, second]) assert.deepEqual(await forge.ended, { status: 0, stderr: "" });
  assert.deepEqual([...first.made, ...second.made].sort(), ["after", "gate"]);
});

test("when the forge in the other container is killed, the one that waits takes over", async (t) => {
  const rig = await Rig.make(t);
  const gate = step("gate", `${holdHere}; echo open > /out/gate`);
  const first = rig.spawn(gate, { wrap: inContainer(rig.seedTree) });
  await first.line("gate", "held");
  const second = rig.spawn(gate);
  await second.event((event) => event.type === "waiting" && event.on === "lock");
  first.kill();
  await second.line("gate", "held");
  rig.release("gate", `${second.child.pid}.`);
  assert.deepEqual(await second.ended, { status: 0, stderr: "" });
});

test("the sockets of a machine in another container with the same /tmp stay until it has ended", async (t) => {
  const { seedTree } = await Rig.make(t);
  const program = bundled("test/forge/socket-owner");
  const { command, args } = inContainer(seedTree)(process.execPath, [program]);
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  const folder = said.toString().trim();
  assert.ok(existsSync(folder));
  removeSocketFolder(await makeSocketFolder());
  assert.ok(existsSync(folder), "it was taken for one of a dead process");
  child.kill("SIGKILL");
  await once(child, "close");
  removeSocketFolder(await makeSocketFolder());
  assert.equal(existsSync(folder), false);
});

test("a machine of another container is known, out of reach, and keeps its name until it has ended", async (t) => {
  const rig = await Rig.make(t);
  const stateDir = rig.store.paths.top;
  const { command, args } = inContainer(rig.seedTree)(process.execPath, [bundled("test/forge/socket-owner"), stateDir]);
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  assert.deepEqual(
    (await listMachines(stateDir)).map(({ name }) => name),
    ["played"],
  );
  await assert.rejects(findMachine(stateDir), (fault: Fault) => {
    assert.equal(fault.code, "E_NO_MACHINE");
    assert.match(fault.details.join(), /^played {2}pid \d+, started .*, in another container$/);
    return true;
  });
  await assert.rejects(refuseIfRunning(stateDir, "played"), { code: "E_VM_RUNNING" });
  child.kill("SIGKILL");
  await once(child, "close");
  await refuseIfRunning(stateDir, "played");
  assert.deepEqual(await listMachines(stateDir), []);
  removeSocketFolder(said.toString().trim());
});
