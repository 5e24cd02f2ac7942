/** Every way in which the initramfs can fail says what it tried, why that failed and what to do. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import type { MachineOptions } from "../../src/vm/options.ts";
import type { Machine } from "../../src/vm/machine.ts";
import { boot, monolith, scratch } from "./monolith.ts";

const CONSOLE = "console=ttyS0 quiet anvil.wait=3";

/** Boots the kernel directly, so that the command line is the test's. */
async function bootKernel(t: TestContext, append: string, options: Partial<MachineOptions> = {}): Promise<Machine> {
  const { kernel, initrd } = await monolith();
  return boot(t, { console: false, kernel: { image: kernel, initrd, append: `${CONSOLE} ${append}` }, ...options });
}

/** Asserts the message of a failure and that a rescue shell answers after it. */
async function failsWith(machine: Machine, code: string): Promise<void> {
  await machine.serial.waitForLog(new RegExp(`^${code}  `));
  await machine.serial.waitForLog(/^ +tried: /);
  await machine.serial.waitForLog(/^ +why: /);
  await machine.serial.waitForLog(/^ +hint: /);
  await answers(machine);
}

/** A shell on the serial port computes; the echo of what is typed does not match. */
async function answers(machine: Machine): Promise<void> {
  await machine.serial.waitForLog(/rescue/i);
  await machine.serial.write("echo shell-$((40 + 2))\n");
  await machine.serial.waitForLog(/shell-42/);
}

/** An ISO with our label that holds the given file as rootfs.img, or none. */
async function otherIso(t: TestContext, image: Buffer | undefined): Promise<string> {
  const folder = scratch(t);
  const tree = path.join(folder, "tree");
  mkdirSync(tree);
  writeFileSync(path.join(tree, image === undefined ? "empty" : "rootfs.img"), image ?? "");
  const iso = path.join(folder, "other.iso");
  const { launcher } = await monolith();
  launcher.handOver([folder]);
  const child = launcher.start(
    "/usr/bin/xorriso",
    ["-as", "mkisofs", "-quiet", "-V", "ANVILOS", "-o", iso, tree],
    [{ path: folder, writable: true }],
    { stdio: ["inherit", "inherit", "inherit"] },
  );
  const status = await new Promise((resolve) => child.on("close", resolve));
  assert.equal(status, 0);
  return iso;
}

test("without a medium the initramfs says which devices it looked at", async (t) => {
  await failsWith(await bootKernel(t, ""), "E_INIT_NO_MEDIUM");
});

test("a medium without rootfs.img is named", async (t) => {
  await failsWith(await bootKernel(t, "", { cdrom: await otherIso(t, undefined) }), "E_INIT_NO_IMAGE");
});

test("an image that is no pool is told from a missing one", async (t) => {
  await failsWith(
    await bootKernel(t, "", { cdrom: await otherIso(t, Buffer.alloc(64 << 20, "not a pool")) }),
    "E_INIT_NO_POOL",
  );
});

test("a pool whose contents are damaged is not mounted in silence", async (t) => {
  const image = await readRootfs(t, await monolith());
  // everything but the labels at both ends
  image.fill(0xa5, 4 << 20, image.length - (1 << 20));
  await failsWith(await bootKernel(t, "", { cdrom: await otherIso(t, image) }), "E_INIT_POOL_DAMAGED");
});

test("another pool than the one that is asked for is refused by its GUID", async (t) => {
  const { iso } = await monolith();
  await failsWith(await bootKernel(t, "anvil.pool=123456789", { cdrom: iso }), "E_INIT_WRONG_GUID");
});

test("an installed pool that is not there is named by its GUID", async (t) => {
  await failsWith(await bootKernel(t, "anvil.root=pool:123456789"), "E_INIT_NO_POOL");
});

test("too little memory is said before anything else is tried", async (t) => {
  const { iso } = await monolith();
  await failsWith(await bootKernel(t, "", { cdrom: iso, memory: 160 }), "E_INIT_MEMORY");
});

test("a word that cannot be understood is refused", async (t) => {
  const machine = await bootKernel(t, "anvil.root=nonsense");
  await machine.serial.waitForLog(/^E_INIT_PARAMETER {2}anvil\.root=nonsense /);
  await machine.serial.waitForLog(/^ +hint: /);
  await answers(machine);
});

test("with panic= a failure restarts the machine instead of giving a shell", async (t) => {
  const machine = await bootKernel(t, "panic=1", { endsOnReset: true });
  assert.equal((await machine.wait()).reason, "guest-reset");
  assert.ok(machine.serial.lines().some((line) => line.startsWith("E_INIT_NO_MEDIUM")));
});

test("anvil.rescue gives a shell first, and leaving it goes on to the root", async (t) => {
  const { iso } = await monolith();
  const machine = await bootKernel(t, "anvil.rescue", { cdrom: iso });
  await answers(machine);
  await machine.serial.write("exit\n");
  await machine.serial.waitForLog(/root login|AnvilOS/i);
});

test("anvil.debug traces the init", async (t) => {
  const { iso } = await monolith();
  const machine = await bootKernel(t, "anvil.debug", { cdrom: iso });
  await machine.serial.waitForLog(/zpool import/);
});

/** rootfs.img as it was before it was compressed into the ISO: xorriso gives it back. */
async function readRootfs(t: TestContext, { iso, launcher }: Awaited<ReturnType<typeof monolith>>): Promise<Buffer> {
  const folder = scratch(t);
  const file = path.join(folder, "rootfs.img");
  launcher.handOver([folder]);
  const child = launcher.start(
    "/usr/bin/xorriso",
    ["-no_rc", "-osirrox", "on", "-indev", iso, "-extract", "/rootfs.img", file],
    [
      { path: iso, writable: false },
      { path: folder, writable: true },
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  child.stdout?.resume();
  const complaint = text(child.stderr as Readable);
  const [status] = (await once(child, "close")) as [number | null];
  assert.equal(status, 0, await complaint);
  return readFileSync(file);
}
