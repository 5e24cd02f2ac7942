import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { Disk } from "../../src/vm/options.ts";
import { bootGuest, guestDisk, guestIso, scratch } from "./guest.ts";

const BUSES: readonly Disk["bus"][] = ["virtio", "scsi", "nvme", "ahci", "usb"];

for (const bus of BUSES) {
  test(`SeaBIOS boots from a disk on ${bus}`, async (t) => {
    const machine = await bootGuest(t, { disks: [{ path: guestDisk(t), bus }] });
    assert.equal(machine.guestSeconds(/test guest ready/), 0.25);
    assert.equal(machine.guestSeconds(/never said/), undefined);
  });
}

test("SeaBIOS boots from a CD, and from the one of several media that comes first in the order", async (t) => {
  const folder = scratch(t);
  const cdrom = path.join(folder, "a, b.iso");
  const empty = path.join(folder, "empty.img");
  writeFileSync(cdrom, guestIso());
  writeFileSync(empty, Buffer.alloc(1 << 20));
  const machine = await bootGuest(t, { cdrom, disks: [{ path: empty, bus: "ahci" }], bootOrder: ["cdrom"] });
  await machine.serial.write("w");
  await machine.serial.waitForLog(/^write failed$/);
  await machine.kill();

  const bootsDisk = await bootGuest(t, {
    cdrom,
    disks: [{ path: guestDisk(t), bus: "ahci" }],
    bootOrder: ["disk0", "cdrom"],
  });
  await bootsDisk.serial.write("w");
  await bootsDisk.serial.waitForLog(/^written$/);
});

test("the serial port is a log in memory and in a file, and can be typed into", async (t) => {
  const serialLog = path.join(scratch(t), "serial.log");
  writeFileSync(serialLog, "of an earlier run\n");
  const machine = await bootGuest(t, { serialLog });
  const mark = machine.serial.mark();
  await machine.serial.write("ANVIL");
  await machine.serial.waitForLog(/^anvil$/, { after: mark });
  await machine.kill();
  assert.deepEqual(
    machine.serial.tail(2).map((line) => line.trim()),
    ["[    0.250000] test guest ready", "anvil"],
  );
  assert.match(readFileSync(serialLog, "latin1"), /test guest ready\r\nanvil$/);
  assert.doesNotMatch(readFileSync(serialLog, "latin1"), /earlier/);
});
