/** Decides between KVM and emulation. An open /dev/kvm proves nothing: only a guest that ran does. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";
import { escape, processor } from "./command-line.ts";
import type { Launcher } from "./launcher.ts";
import { PROBE_EXIT, PROBE_LETTERS, probeImage } from "./probe-guest.ts";
import { bootId } from "../host/process.ts";
import { replaceFile } from "../host/replace-file.ts";
import { QemuProcess } from "./qemu-process.ts";

export interface Acceleration {
  readonly accel: "kvm" | "tcg";
  /** One line for the user. */
  readonly why: string;
}

export interface ProbeOptions {
  /** Folder that keeps the answer until the next boot of the machine. Default: nothing is kept. */
  readonly cacheDir?: string;
  /** How long the guest may take; with hardware support it takes half a second. Default 20 s. */
  readonly timeoutMs?: number;
  /** Default "/dev/kvm". */
  readonly device?: string;
}

const IMAGE = "probe.img";

export type ProbeResult = { readonly ok: true } | { readonly ok: false; readonly why: string };

/** Emulation on a busy machine with one core. */
const EMULATED_LIMIT_MS = 120_000;

/**
 * KVM when a small guest ran with it, else TCG. Throws E_QEMU_START when the guest does not run with TCG either: then the
 * fault is not KVM's.
 */
export async function probeAcceleration(launcher: Launcher, options: ProbeOptions = {}): Promise<Acceleration> {
  const device = options.device ?? "/dev/kvm";
  const closed = await whyClosed(device);
  if (closed !== undefined) return { accel: "tcg", why: closed };
  const kept = options.cacheDir === undefined ? undefined : readKept(options.cacheDir);
  if (kept !== undefined) return kept;
  const result = await runProbe(launcher, "kvm", options.timeoutMs);
  const acceleration: Acceleration = result.ok
    ? { accel: "kvm", why: `a test guest ran with ${device}` }
    : { accel: "tcg", why: `${device} is there, but ${result.why}` };
  if (!result.ok) await mustRunEmulated(launcher, result.why);
  if (options.cacheDir !== undefined) keep(options.cacheDir, acceleration);
  return acceleration;
}

async function mustRunEmulated(launcher: Launcher, whyNotKvm: string): Promise<void> {
  const result = await runProbe(launcher, "tcg", EMULATED_LIMIT_MS);
  if (result.ok) return;
  throw new Fault("E_QEMU_START", "QEMU does not run even a small guest", {
    details: [`with KVM: ${whyNotKvm}`, `with TCG: ${result.why}`],
  });
}

async function whyClosed(device: string): Promise<string | undefined> {
  try {
    await (await open(device, "r+")).close();
    return undefined;
  } catch (error) {
    return errno(error) === "ENOENT" ? `there is no ${device}` : `${device} cannot be opened (${errno(error)})`;
  }
}

/** Runs the probe guest. Says what went wrong when it does not do all that it should within the time. */
export async function runProbe(launcher: Launcher, accel: "kvm" | "tcg", timeoutMs = 20_000): Promise<ProbeResult> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "anvil-probe-"));
  try {
    writeFileSync(path.join(folder, IMAGE), probeImage);
    launcher.handOver([folder, path.join(folder, IMAGE)]);
    return await watchProbe(launcher, accel, folder, timeoutMs);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function watchProbe(
  launcher: Launcher,
  accel: "kvm" | "tcg",
  folder: string,
  timeoutMs: number,
): Promise<ProbeResult> {
  const args = [
    ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ...["-machine", "q35", ...processor(accel), "-m", "64M"],
    ...["-drive", `if=none,id=probe,format=raw,readonly=on,file=${escape(path.join(folder, IMAGE))}`],
    ...["-device", "virtio-blk-pci,drive=probe,bootindex=0"],
    ...["-debugcon", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"],
  ];
  const device = accel === "kvm" ? [{ path: "/dev/kvm", writable: true }] : [];
  const qemu = new QemuProcess(launcher, args, [{ path: folder, writable: true }, ...device], folder);
  const limit = { passed: false };
  const stop = setTimeout(() => {
    limit.passed = true;
    qemu.kill();
  }, timeoutMs);
  const { status } = await qemu.ended;
  clearTimeout(stop);
  if (qemu.output === PROBE_LETTERS && status === PROBE_EXIT) return { ok: true };
  return { ok: false, why: explain(qemu.output, qemu.complaints(), limit.passed ? timeoutMs : undefined) };
}

/** What the guest does before it writes each of its letters. */
const STAGES = [
  "starting its firmware",
  "entering 64-bit mode",
  "floating-point arithmetic",
  "touching memory",
  "CPUID",
  "timer interrupts",
];

function explain(letters: string, complaints: readonly string[], limitMs: number | undefined): string {
  const stage = STAGES[PROBE_LETTERS.startsWith(letters) ? letters.length : 0] ?? "its exit";
  const how = limitMs === undefined ? "failed" : `did not end within ${limitMs / 1000} s`;
  const complaint = complaints.filter((line) => /error|fail|could not|cannot|denied/i.test(line)).slice(0, 2);
  return [`a test guest ${how} at ${stage}`, ...complaint].join(": ");
}

/** The answer and the boot of this machine that it holds for: firmware and kernel decide what the processor can do. */
type Kept = Acceleration & { readonly boot: string };

function cacheFile(cacheDir: string): string {
  return path.join(cacheDir, "acceleration.json");
}

function readKept(cacheDir: string): Acceleration | undefined {
  try {
    const { boot, accel, why } = JSON.parse(readFileSync(cacheFile(cacheDir), "utf8")) as Partial<Kept>;
    if (boot !== bootId() || (accel !== "kvm" && accel !== "tcg") || typeof why !== "string") return undefined;
    return { accel, why };
  } catch {
    return undefined; // not there or damaged: the probe is run again
  }
}

function keep(cacheDir: string, acceleration: Acceleration): void {
  const file = cacheFile(cacheDir);
  const kept: Kept = { boot: bootId(), ...acceleration };
  try {
    mkdirSync(cacheDir, { recursive: true });
    replaceFile(file, JSON.stringify(kept) + "\n");
  } catch {
    // a cache that cannot be written costs a second at the next start
  }
}
