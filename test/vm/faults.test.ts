import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { startMachine } from "../../src/vm/machine.ts";
import { bootGuest, emulation, faultOf, guestDisk, scratch, startGuest } from "./guest.ts";
import { launcher } from "./launcher.ts";

test("missing media are named before anything starts", async (t) => {
  const folder = scratch(t);
  const missing = path.join(folder, "missing.img");
  const cases = [
    { cdrom: missing },
    { disks: [{ path: missing, bus: "virtio" as const }] },
    { kernel: { image: missing } },
    { kernel: { image: guestDisk(t), initrd: missing } },
  ];
  for (const options of cases) {
    const fault = await faultOf(startGuest(t, options));
    assert.equal(fault.code, "E_NO_SUCH_FILE");
    assert.match(fault.message, new RegExp(`^${missing}, .* of the machine, does not exist$`));
  }
  const fault = await faultOf(startGuest(t, { cdrom: folder }));
  assert.equal(fault.code, "E_NO_SUCH_FILE");
  assert.match(fault.message, /is neither a file nor a block device$/);
});

test("a serial log that cannot be written is named before anything starts", async (t) => {
  const fault = await faultOf(startGuest(t, { serialLog: path.join(scratch(t), "missing/serial.log") }));
  assert.equal(fault.code, "E_NO_SUCH_FILE");
  assert.match(fault.message, /serial\.log cannot be written \(ENOENT\)/);
});

test("a name that is no file name is refused", async (t) => {
  for (const name of ["", "../up", "a/b", ".hidden", "with space"]) {
    assert.equal((await faultOf(startGuest(t, { name }))).code, "E_VM_NAME");
  }
});

test("when QEMU does not start its own message is in the fault", async (t) => {
  const kernel = path.join(scratch(t), "kernel");
  writeFileSync(kernel, "no kernel at all");
  const fault = await faultOf(startGuest(t, { kernel: { image: kernel } }));
  assert.equal(fault.code, "E_QEMU_START");
  assert.match(fault.details.join("\n"), /kernel/);
});

test("a disk that another machine writes to is named, with QEMU's own message", async (t) => {
  const disk = { path: guestDisk(t), bus: "virtio" } as const;
  await bootGuest(t, { disks: [disk] });
  const locked = await faultOf(startGuest(t, { name: "other", disks: [disk] }));
  assert.equal(locked.code, "E_DISK_IN_USE");
  assert.equal(locked.message, `${disk.path} is in use by another machine`);
  assert.match(locked.details.join("\n"), /write" lock/);
});

test("a launcher whose program does not exist is a fault, and its folder is removed", async () => {
  let folder = "";
  const fault = await faultOf(
    startMachine({
      name: "guest",
      acceleration: emulation,
      launcher: {
        start: (_program, _args, binds) => {
          folder = binds[0]?.path ?? "";
          return spawn("/no/such/program");
        },
        handOver: () => {},
      },
    }),
  );
  assert.equal(fault.code, "E_QEMU_START");
  assert.match(fault.message, /cannot be run/);
  assert.match(fault.details.join("\n"), /ENOENT/);
  assert.match(folder, /anvil-vm-/);
  assert.equal(existsSync(folder), false);
});

test("a program that is not QEMU is not taken for one", async () => {
  const fault = await faultOf(
    startMachine({
      name: "guest",
      acceleration: emulation,
      launcher: { ...launcher, start: (_program, _args, binds, io) => launcher.start("true", [], binds, io) },
    }),
  );
  assert.equal(fault.code, "E_QEMU_START");
  assert.match(fault.message, /did not start \(status 0\)/);
});

test("a wait that is in vain names what it waited for and shows the last lines", async (t) => {
  const serialLog = path.join(scratch(t), "serial.log");
  const machine = await bootGuest(t, { timeScale: 1, serialLog });
  const fault = await faultOf(machine.serial.waitForLog(/login: $/i, { timeoutMs: 100 }));
  assert.equal(fault.code, "E_VM_TIMEOUT");
  assert.equal(fault.message, "waited 0.1 s in vain for /login: $/i on the serial port of guest");
  assert.equal(fault.details.at(-1), "[    0.250000] test guest ready");
  assert.equal((fault as { log?: string }).log, serialLog);
});

test("time limits are ten times as long under emulation", async (t) => {
  const machine = await bootGuest(t);
  assert.equal(machine.timeScale, 10);
  const fault = await faultOf(machine.serial.waitForLog(/never/, { timeoutMs: 20 }));
  assert.match(fault.message, /^waited 0\.2 s in vain/);
});

test("the death of QEMU ends every wait with its reason", async (t) => {
  const machine = await bootGuest(t, { console: true });
  const waits = [machine.serial.waitForLog(/never/), machine.console.run("true"), machine.console.waitFor(/never/)].map(
    (wait) => wait.then(String, (fault: unknown) => fault),
  );
  process.kill(-machine.pid, "SIGKILL");
  const exit = await machine.wait();
  assert.equal(exit.reason, "died");
  const [log, run, text] = (await Promise.all(waits)) as { code: string; message: string }[];
  for (const fault of [log, run, text]) {
    assert.equal(fault?.code, "E_QEMU_EXIT");
    assert.equal(fault.message, `machine "guest" has ended (${exit.signal ?? `status ${exit.status}`})`);
  }
  // and whoever comes later is told the same
  assert.equal((await faultOf(machine.serial.waitForLog(/never/))).code, "E_QEMU_EXIT");
  assert.equal((await faultOf(machine.qmp.execute("query-status"))).code, "E_QMP");
  await machine.serial.waitForLog(/test guest ready/);
});

test("a guest that powers off while something is awaited says so", async (t) => {
  const machine = await bootGuest(t);
  const wait = faultOf(machine.serial.waitForLog(/never/));
  await machine.serial.write("o");
  const fault = await wait;
  assert.equal(fault.code, "E_QEMU_EXIT");
  assert.equal(fault.message, 'machine "guest" has ended (guest-shutdown)');
});

test("a console where no shell answers is a timeout with the lines of the serial port", async (t) => {
  const machine = await bootGuest(t, { console: true, timeScale: 1 });
  const fault = await faultOf(machine.console.run("true", { timeoutMs: 100 }));
  assert.equal(fault.code, "E_VM_TIMEOUT");
  assert.equal(fault.message, "waited 0.1 s in vain for a shell's answer on the console of guest");
  assert.equal(fault.details.at(-1), "[    0.250000] test guest ready");
});
