import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Disk } from "../../src/vm/options.ts";
import { bootGuest, guestDisk, guestImage } from "./guest.ts";

/** Lets the guest write its code to sector 1; true when it says that it could. */
async function write(t: Parameters<typeof bootGuest>[0], disk: Disk): Promise<{ written: boolean; sector: Buffer }> {
  const machine = await bootGuest(t, { disks: [disk] });
  await machine.serial.write("w");
  const [answer] = await machine.serial.waitForLog(/^(written|write failed)$/);
  await machine.kill();
  return { written: answer === "written", sector: readFileSync(disk.path).subarray(512, 1024) };
}

const code = guestImage.subarray(0, 512);
const zeros = Buffer.alloc(512);

for (const cache of ["writeback", "none", "unsafe"] as const) {
  test(`a write goes to the image with cache mode ${cache}`, async (t) => {
    const { written, sector } = await write(t, { path: guestDisk(t), bus: "virtio", cache });
    assert.equal(written, true);
    assert.deepEqual(sector, code);
  });
}

test("a write to a snapshot is good for the guest and leaves the image alone", async (t) => {
  const { written, sector } = await write(t, { path: guestDisk(t), bus: "virtio", snapshot: true });
  assert.equal(written, true);
  assert.deepEqual(sector, zeros);
});

for (const bus of ["virtio", "scsi", "nvme", "usb", "ahci"] as const) {
  test(`a read-only disk on ${bus} is never changed`, async (t) => {
    const { sector } = await write(t, { path: guestDisk(t), bus, readOnly: true });
    assert.deepEqual(sector, zeros);
  });
}
