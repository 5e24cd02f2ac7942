/** What the boot tests share: the forged ISO, QEMU of the seed, and machines that end with their test. */
import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import { initramfs } from "../../recipes/initramfs.ts";
import { linux } from "../../recipes/linux.ts";
import { vmLauncher } from "../../src/project/launcher.ts";
import type { Output } from "../../src/recipe/recipe.ts";
import { probeAcceleration, type Acceleration } from "../../src/vm/accel.ts";
import type { Launcher } from "../../src/vm/launcher.ts";
import { startMachine, type Machine } from "../../src/vm/machine.ts";
import type { MachineOptions } from "../../src/vm/options.ts";
import { project } from "../this-project.ts";

export interface Forged {
  readonly iso: string;
  readonly kernel: string;
  readonly initrd: string;
}

/** QEMU of the seed, which is the same in every channel. */
interface Emulator {
  readonly launcher: Launcher;
  readonly acceleration: Acceleration;
}

let chosen: Promise<Forged & Emulator> | undefined;
let emulator: Promise<Emulator> | undefined;

/** The outputs of `anvil forge`, which the test command runs first. */
export function monolith(): Promise<Forged & Emulator> {
  return (chosen ??= Promise.all([forgedIn("auto"), emulate()]).then(([forged, qemu]) => ({ ...forged, ...qemu })));
}

/** The same of `anvil forge --channel <name>`. */
export async function forgedIn(channel: string): Promise<Forged> {
  const targets = await project.targets();
  const [isoTree, linuxTree, initramfsTree] = (await trees([targets.image(true), linux, initramfs], channel)) as [
    string,
    string,
    string,
  ];
  return {
    iso: path.join(isoTree, "anvilos-phase2.iso"),
    kernel: path.join(linuxTree, "boot/vmlinuz"),
    initrd: path.join(initramfsTree, "initramfs.img"),
  };
}

function emulate(): Promise<Emulator> {
  return (emulator ??= (async () => {
    const launcher = await vmLauncher(project);
    return { launcher, acceleration: await probeAcceleration(launcher, { cacheDir: project.store.paths.top }) };
  })());
}

/** Where the output of a recipe is. */
export async function output(wanted: Output): Promise<string> {
  const [tree] = await trees([wanted], "auto");
  assert.ok(tree !== undefined);
  return tree;
}

async function trees(outputs: readonly Output[], name: string): Promise<string[]> {
  const { channel } = await project.selectChannel(name);
  const { targets } = project.evaluate(outputs, channel);
  return targets.map((key) => project.store.outputs.path(key));
}

/** A folder that is gone after the test. */
export function scratch(t: TestContext): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), "anvil-boot-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts a machine with a virtio console; it is killed after the test if it still runs. */
export async function boot(t: TestContext, options: Partial<MachineOptions>): Promise<Machine> {
  const { launcher, acceleration } = await emulate();
  const name = `test-${process.pid}-${Math.random().toString(36).slice(2, 8)}`;
  const machine = await startMachine({
    name,
    launcher,
    acceleration,
    memory: 1024,
    console: true,
    ...options,
  });
  t.after(() => machine.kill());
  return machine;
}

/** A sparse raw image. */
export function emptyDisk(folder: string, gibibytes: number): string {
  const file = path.join(folder, "disk.img");
  writeFileSync(file, "");
  truncateSync(file, gibibytes * 2 ** 30);
  return file;
}

/** A writable copy of the ISO, as on a USB stick. */
export async function stick(folder: string): Promise<string> {
  const file = path.join(folder, "stick.img");
  copyFileSync((await monolith()).iso, file);
  chmodSync(file, 0o644);
  return file;
}

/** Presses the power button and asserts that the guest shut itself down and exported its pools where it can. */
export async function powerOff(machine: Machine): Promise<void> {
  const exit = await machine.powerdown();
  assert.equal(exit.reason, "guest-shutdown");
}
