import assert from "node:assert/strict";
import { createServer } from "node:net";
import path from "node:path";
import { test } from "node:test";
import { connectQmp } from "../../src/vm/qmp.ts";
import { bootGuest, faultOf, scratch } from "./guest.ts";

test("commands are answered with their values, many at once", async (t) => {
  const { qmp } = await bootGuest(t);
  assert.match(qmp.version, /^\d+\.\d+\.\d+$/);
  const [status, name, kvm] = await Promise.all([
    qmp.execute("query-status"),
    qmp.execute("query-name"),
    qmp.execute("query-kvm"),
  ]);
  assert.deepEqual((status as { status: string }).status, "running");
  assert.deepEqual(name, { name: "guest" });
  assert.equal((kvm as { enabled: boolean }).enabled, false);
  assert.match(await qmp.human("info version"), /^\d+\.\d+/);
});

test("what QEMU refuses is a fault with its words", async (t) => {
  const { qmp } = await bootGuest(t);
  const unknown = await faultOf(qmp.execute("no-such-command"));
  assert.equal(unknown.code, "E_QMP");
  assert.match(unknown.message, /QEMU refused "no-such-command": The command no-such-command has not been found/);
  assert.deepEqual(unknown.details, ["class CommandNotFound"]);
  const bad = await faultOf(qmp.execute("eject", { id: "no-such-drive" }));
  assert.deepEqual(bad.details, ["class DeviceNotFound"]);
});

test("events come in order and are kept until they are read", async (t) => {
  const machine = await bootGuest(t);
  const events = machine.qmp.events();
  await machine.qmp.execute("stop");
  await machine.qmp.execute("cont");
  await machine.reset();
  await machine.kill();
  const names: string[] = [];
  for await (const { event, seconds } of events) {
    assert.ok(seconds > 1e9);
    names.push(event);
  }
  assert.deepEqual(names.slice(0, 3), ["STOP", "RESUME", "RESET"]);
  assert.deepEqual(await events.next(), { done: true, value: undefined });
});

test("an awaited event that does not come is a fault, and so is one of a dead QEMU", async (t) => {
  const machine = await bootGuest(t);
  const late = await faultOf(machine.qmp.nextEvent("RTC_CHANGE", 100));
  assert.equal(late.code, "E_QMP");
  assert.match(late.message, /no RTC_CHANGE event/);
  const never = faultOf(machine.qmp.nextEvent("RTC_CHANGE"));
  await machine.kill();
  assert.match((await never).message, /closed its control socket/);
});

test("a socket without QEMU, with something else or with a silent one behind it is a fault", async (t) => {
  const socket = path.join(scratch(t), "s");
  assert.match((await faultOf(connectQmp(socket))).message, /there is no QEMU at /);

  for (const [greeting, message] of [
    ["SSH-2.0-OpenSSH\r\n", /does not speak QMP/],
    ["", /did not answer a connection within 0\.1 s/],
  ] as const) {
    const server = createServer((client) => client.write(greeting));
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    const fault = await faultOf(connectQmp(socket, 100));
    assert.equal(fault.code, "E_QMP");
    assert.match(fault.message, message);
    await new Promise((resolve) => server.close(resolve));
  }
});
