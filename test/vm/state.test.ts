import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { Console } from "../../src/vm/console.ts";
import { bootId, identify, isRunning } from "../../src/host/process.ts";
import { connectQmp } from "../../src/vm/qmp.ts";
import { findMachine, listMachines, writeState, type MachineState } from "../../src/vm/state.ts";
import { bootGuest, faultOf, guestDisk, scratch, startGuest } from "./guest.ts";

function faultIn(act: () => unknown): Promise<{ code: string; message: string; details: string[] }> {
  return faultOf(new Promise((resolve) => resolve(act())));
}

const made: Omit<MachineState, "name" | "process"> = {
  qmp: "/q",
  console: undefined,
  ingot: undefined,
  serialLog: undefined,
  timeScale: 1,
  forwards: [],
  started: "2026-01-01T00:00:00.000Z",
};

test("a running machine is found by its name, and alone without one", async (t) => {
  const stateDir = scratch(t);
  const serialLog = path.join(stateDir, "serial.log");
  const machine = await bootGuest(t, {
    stateDir,
    serialLog,
    console: true,
    ingot: true,
    network: { forwards: [{ guest: 22 }] },
  });
  const file = path.join(stateDir, "machines/guest.json");
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const state = await findMachine(stateDir, "guest");
  assert.deepEqual(await findMachine(stateDir), state);
  assert.equal(state.process.pid, machine.pid);
  assert.equal(state.serialLog, serialLog);
  assert.ok(state.ingot !== undefined && statSync(state.ingot).isSocket());
  assert.equal(state.forwards[0]?.guest, 22);
  assert.ok(state.forwards[0].host > 0);
  assert.deepEqual(readdirSync(path.dirname(file)), ["guest.json"]);

  const qmp = await connectQmp(state.qmp);
  assert.equal(((await qmp.execute("query-status")) as { status: string }).status, "running");
  qmp.close();
  assert.ok(state.console !== undefined);
  const console = new Console({
    label: "the console",
    socket: state.console,
    timeScale: 1,
    log: undefined,
    evidence: () => [],
  });
  assert.equal((await faultOf(console.ready({ timeoutMs: 50 }))).code, "E_VM_TIMEOUT");
  console.close();

  await machine.kill();
  assert.equal(existsSync(file), false);
  assert.equal((await faultIn(() => findMachine(stateDir, "guest"))).code, "E_NO_MACHINE");
});

test("two machines of one name do not run, and the first one is not disturbed", async (t) => {
  const stateDir = scratch(t);
  const machine = await bootGuest(t, { stateDir });
  const fault = await faultOf(startGuest(t, { stateDir }));
  assert.equal(fault.code, "E_VM_RUNNING");
  assert.match(fault.details.join("\n"), new RegExp(`pid ${machine.pid}`));
  const other = await startGuest(t, { stateDir, name: "other", disks: [{ path: guestDisk(t), bus: "virtio" }] });
  const several = await faultIn(() => findMachine(stateDir));
  assert.equal(several.code, "E_NO_MACHINE");
  assert.match(several.message, /more than one/);
  assert.deepEqual(
    (await listMachines(stateDir)).map(({ name }) => name),
    ["guest", "other"],
  );
  await other.kill();
  assert.equal((await findMachine(stateDir)).name, "guest");
});

test("two that start at the same moment are told apart too", async (t) => {
  const stateDir = scratch(t);
  const outcomes = await Promise.all(
    [1, 2].map(() =>
      startGuest(t, { stateDir, disks: [{ path: guestDisk(t), bus: "virtio" }] }).then(
        () => "started",
        (fault: unknown) => (fault as { code: string }).code,
      ),
    ),
  );
  assert.deepEqual(outcomes.sort(), ["E_VM_RUNNING", "started"]);
});

test("files of machines that have ended, of another process with the pid, and damaged ones are removed", async (t) => {
  const stateDir = scratch(t);
  const self = identify(process.pid);
  assert.ok(self !== undefined && isRunning(self));
  mkdirSync(path.join(stateDir, "machines"));
  const file = (name: string): string => path.join(stateDir, "machines", `${name}.json`);
  const stale = {
    reused: { ...self, startTicks: self.startTicks - 1 },
    rebooted: { ...self, boot: bootId().replace(/./, "x") },
    gone: { ...self, pid: 2 ** 22 + 1 },
  };
  for (const [name, identity] of Object.entries(stale)) {
    writeFileSync(file(name), JSON.stringify({ ...made, name, process: identity }));
  }
  writeFileSync(file("damaged"), '{"name": "dam');
  writeFileSync(file("foreign"), "[]");
  await writeState(stateDir, { ...made, name: "alive", process: self });
  assert.deepEqual(
    (await listMachines(stateDir)).map(({ name }) => name),
    ["alive"],
  );
  assert.deepEqual(readdirSync(path.join(stateDir, "machines")), ["alive.json"]);
  const before = readFileSync(file("alive"), "utf8");
  assert.equal(
    (await faultIn(() => writeState(stateDir, { ...made, name: "alive", process: self }))).code,
    "E_VM_RUNNING",
  );
  assert.equal(readFileSync(file("alive"), "utf8"), before);
});

test("without a state folder there is no machine", async (t) => {
  const missing = path.join(scratch(t), "missing");
  assert.deepEqual(await listMachines(missing), []);
  assert.equal((await faultIn(() => findMachine(missing))).code, "E_NO_MACHINE");
});
