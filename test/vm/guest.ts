/** A guest of one boot sector for the tests, and machines that run it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import { bootSector } from "../../src/vm/boot-sector.ts";
import { startMachine, type Machine } from "../../src/vm/machine.ts";
import type { MachineOptions } from "../../src/vm/options.ts";
import { launcher } from "./launcher.ts";

/** What the guest writes first; the stamp is like a kernel's. */
export const READY = /^\[ {4}0\.250000\] test guest ready$/;

/**
 * Reads the serial port and the power button. `o` powers off, `r` resets, `h` says "stopped" and stops it for ever, `w`
 * writes its own code to sector 1 of the disk that it was booted from; any other letter comes back in the other case.
 */
export const guestImage = bootSector(`
7c00  fa              cli
7c01  31c0            xor ax, ax
7c03  8ed8            mov ds, ax
7c05  8ec0            mov es, ax
7c07  8ed0            mov ss, ax
7c09  bc 007c         mov sp, 0x7c00
7c0c  fb              sti
7c0d  fc              cld
7c0e  8816 007b       mov [0x7b00], dl     ; the BIOS's number of the boot disk
7c12  ba 0206         mov dx, 0x602        ; PM1 enable register: the power button
7c15  b8 0001         mov ax, 0x100
7c18  ef              out dx, ax
7c19  be af7c         mov si, 0x7caf
7c1c  e8 6800         call 0x7c87
                      ; poll
7c1f  ba 0006         mov dx, 0x600        ; PM1 status register
7c22  ed              in ax, dx
7c23  f6c4 01         test ah, 1
7c26  75 25           jnz 0x7c4d
7c28  ba fd03         mov dx, 0x3fd        ; line status of COM1
7c2b  ec              in al, dx
7c2c  a8 01           test al, 1
7c2e  75 03           jnz 0x7c33
7c30  f4              hlt                  ; until the next tick
7c31  eb ec           jmp 0x7c1f
7c33  b2 f8           mov dl, 0xf8
7c35  ec              in al, dx
7c36  3c 6f           cmp al, 'o'
7c38  74 19           je 0x7c53
7c3a  3c 72           cmp al, 'r'
7c3c  74 28           je 0x7c66
7c3e  3c 77           cmp al, 'w'
7c40  74 2c           je 0x7c6e
7c42  3c 68           cmp al, 'h'
7c44  74 18           je 0x7c5e
7c46  34 20           xor al, 0x20
7c48  e8 4600         call 0x7c91
7c4b  eb d2           jmp 0x7c1f
                      ; power button
7c4d  be d17c         mov si, 0x7cd1
7c50  e8 3400         call 0x7c87
                      ; off: sleep state S5 in the PM1 control register
7c53  ba 0406         mov dx, 0x604
7c56  b8 0020         mov ax, 0x2000
7c59  ef              out dx, ax
7c5a  fa              cli
7c5b  f4              hlt
7c5c  eb fc           jmp 0x7c5a
                      ; halt
7c5e  be f97c         mov si, 0x7cf9
7c61  e8 2300         call 0x7c87
7c64  eb f4           jmp 0x7c5a
                      ; reset
7c66  ba f90c         mov dx, 0xcf9
7c69  b0 06           mov al, 6
7c6b  ee              out dx, al
7c6c  eb ec           jmp 0x7c5a
                      ; write
7c6e  be 9f7c         mov si, 0x7c9f
7c71  b8 0043         mov ax, 0x4300
7c74  8a16 007b       mov dl, [0x7b00]
7c78  cd 13           int 0x13
7c7a  be e07c         mov si, 0x7ce0
7c7d  72 03           jc 0x7c82
7c7f  be ef7c         mov si, 0x7cef
7c82  e8 0200         call 0x7c87
7c85  eb 98           jmp 0x7c1f
                      ; print the string at si
7c87  ac              lodsb
7c88  84c0            test al, al
7c8a  74 12           jz 0x7c9e
7c8c  e8 0200         call 0x7c91
7c8f  eb f6           jmp 0x7c87
                      ; print al
7c91  50              push ax
7c92  ba fd03         mov dx, 0x3fd
7c95  ec              in al, dx
7c96  a8 20           test al, 0x20
7c98  74 fb           jz 0x7c95
7c9a  b2 f8           mov dl, 0xf8
7c9c  58              pop ax
7c9d  ee              out dx, al
7c9e  c3              ret
                      ; disk address packet: one sector from 0000:7c00 to sector 1
7c9f  1000 0100 007c 0000 0100000000000000
7caf  ${text("[    0.250000] test guest ready\r\n")}
7cd1  ${text("power button\r\n")}
7ce0  ${text("write failed\r\n")}
7cef  ${text("written\r\n")}
7cf9  ${text("stopped\r\n")}
`);

function text(string: string): string {
  return Buffer.from(`${string}\0`).toString("hex");
}

/** A bootable CD with the same guest: El Torito 1.0, no emulation, the boot image in sector 20. */
export function guestIso(): Buffer {
  const sector = 2048;
  const iso = Buffer.alloc(1 << 20);
  const descriptor = (at: number, type: number): Buffer => {
    const block = iso.subarray(at * sector, (at + 1) * sector);
    block.writeUInt8(type, 0);
    block.write("CD001\x01", 1, "latin1");
    return block;
  };
  descriptor(16, 1).writeUInt16LE(sector, 128);
  const record = descriptor(17, 0);
  record.write("EL TORITO SPECIFICATION", 7, "latin1");
  record.writeUInt32LE(19, 71);
  descriptor(18, 255);
  const catalog = iso.subarray(19 * sector);
  // validation entry, whose words sum to zero; then the default entry: bootable, 4 sectors of 512 bytes, sector 20
  catalog.set([1, 0, 0, 0], 0);
  catalog.set([0xaa, 0x55, 0x55, 0xaa], 28);
  catalog.set([0x88, 0, 0, 0, 0, 0, 4, 0, 20, 0, 0, 0], 32);
  guestImage.copy(iso, 20 * sector, 0, 512);
  return iso;
}

/** A folder that is gone after the test. */
export function scratch(t: TestContext): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), "anvil-test-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A disk image with the guest. */
export function guestDisk(t: TestContext): string {
  const file = path.join(scratch(t), "guest.img");
  writeFileSync(file, guestImage);
  return file;
}

export const emulation = { accel: "tcg", why: "the tests run anywhere" } as const;

/** Starts a machine that is killed after the test. Unless told otherwise it boots the guest from a virtio disk. */
export async function startGuest(t: TestContext, options: Partial<MachineOptions> = {}): Promise<Machine> {
  const machine = await startMachine({
    name: "guest",
    launcher,
    acceleration: emulation,
    memory: 64,
    disks: options.cdrom === undefined ? [{ path: guestDisk(t), bus: "virtio" }] : [],
    ...options,
  });
  t.after(() => machine.kill());
  return machine;
}

/** As `startGuest`, and the guest runs. */
export async function bootGuest(t: TestContext, options: Partial<MachineOptions> = {}): Promise<Machine> {
  const machine = await startGuest(t, options);
  await machine.serial.waitForLog(READY);
  return machine;
}

/** The fault with which a promise rejects. */
export async function faultOf(
  promise: Promise<unknown>,
): Promise<{ code: string; message: string; details: string[] }> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof Error && "code" in error && "details" in error) {
    return error as unknown as { code: string; message: string; details: string[] };
  }
  throw new Error(`expected a fault, got ${String(error)}`);
}
