import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { faultOf, guestDisk, scratch, startGuest } from "./guest.ts";
import { launcher } from "./launcher.ts";
import { emulation } from "./guest.ts";
import { startMachine } from "../../src/vm/machine.ts";

test("OVMF starts, and keeps its variables in the file that it was given", async (t) => {
  const variables = path.join(scratch(t), "vars, of a machine.fd");
  const machine = await startGuest(t, { firmware: "ovmf", variables, memory: 256 });
  const fresh = readFileSync(variables);
  assert.ok(fresh.includes("_FVH"), "a firmware volume");
  // a disk that only a BIOS can boot from: the firmware says that it found nothing, after it has written its variables
  await machine.serial.waitForLog(/BdsDxe: (failed to load|No bootable option)|UEFI Interactive Shell/);
  await machine.kill();
  const used = readFileSync(variables);
  assert.equal(used.length, fresh.length);
  assert.notDeepEqual(used, fresh);

  const again = await startGuest(t, { firmware: "ovmf", variables, memory: 256, disks: [] });
  assert.ok(readFileSync(variables).equals(used), "not made anew");
  await again.kill();
});

test("without the firmware's template OVMF is refused and no variables are left behind", async (t) => {
  const folder = scratch(t);
  const variables = path.join(folder, "vars.fd");
  const fault = await faultOf(
    startMachine({
      name: "guest",
      acceleration: emulation,
      firmware: "ovmf",
      variables,
      disks: [{ path: guestDisk(t), bus: "virtio" }],
      launcher: {
        ...launcher,
        start: (program, args, binds, io) =>
          launcher.start(program, program === "cat" ? ["/no/such/file"] : args, binds, io),
      },
    }),
  );
  assert.equal(fault.code, "E_QEMU_START");
  assert.match(fault.details.join("\n"), /no\/such\/file/);
  assert.equal(statSync(variables, { throwIfNoEntry: false }), undefined);
  writeFileSync(path.join(folder, "still writable"), "");
});
