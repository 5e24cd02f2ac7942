import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { bootGuest, faultOf, READY } from "./guest.ts";

test("the power button reaches the guest, which shuts itself down", async (t) => {
  const machine = await bootGuest(t);
  assert.deepEqual(await machine.powerdown(), { reason: "guest-shutdown", status: 0, signal: null });
  assert.equal(machine.serial.tail(1)[0], "power button");
});

test("a guest that powers itself off ends the machine", async (t) => {
  const machine = await bootGuest(t);
  await machine.serial.write("o");
  assert.equal((await machine.wait()).reason, "guest-shutdown");
});

test("a reset starts the guest anew, from outside and from inside", async (t) => {
  const machine = await bootGuest(t);
  let mark = machine.serial.mark();
  await machine.reset();
  await machine.serial.waitForLog(READY, { after: mark });
  mark = machine.serial.mark();
  await machine.serial.write("r");
  await machine.serial.waitForLog(READY, { after: mark });
  // a reset may come before the end of the line
  assert.equal(machine.serial.lines().join("\n").split("test guest ready").length - 1, 3);
});

test("a machine that ends on reset does so, from outside and from inside", async (t) => {
  const inside = await bootGuest(t, { endsOnReset: true });
  await inside.serial.write("r");
  assert.equal((await inside.wait()).reason, "guest-reset");
  const outside = await bootGuest(t, { endsOnReset: true });
  await outside.reset();
  assert.equal((await outside.wait()).reason, "host-qmp-system-reset");
});

test("a killed machine leaves no process and no folder", async (t) => {
  const machine = await bootGuest(t, { console: true });
  const exit = await machine.kill();
  assert.equal(exit.reason, "killed");
  assert.equal(existsSync(path.join("/proc", String(machine.pid))), false);
  assert.deepEqual(await machine.kill(), exit);
});

test("a guest that ignores the power button is reported, with its last words", async (t) => {
  const machine = await bootGuest(t, { timeScale: 1 });
  await machine.serial.write("h");
  await machine.serial.waitForLog(/^stopped$/);
  const fault = await faultOf(machine.powerdown({ timeoutMs: 300 }));
  assert.equal(fault.code, "E_VM_TIMEOUT");
  assert.match(fault.message, /waited 0\.3 s in vain for guest to shut itself down/);
  assert.deepEqual(fault.details.slice(-2), ["[    0.250000] test guest ready", "stopped"]);
});
