import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { probeAcceleration, runProbe } from "../../src/vm/accel.ts";
import type { Launcher } from "../../src/vm/launcher.ts";
import { bootId } from "../../src/host/process.ts";
import { faultOf, scratch } from "./guest.ts";
import { launcher } from "./launcher.ts";

/** A launcher that edits QEMU's arguments, and counts. */
function editing(edit: (args: string[]) => string[]): Launcher & { runs: number } {
  const edited: Launcher & { runs: number } = {
    ...launcher,
    runs: 0,
    start(program, args, binds, io) {
      edited.runs++;
      return launcher.start(program, edit([...args]), binds, io);
    },
  };
  return edited;
}

/** QEMU without KVM where KVM was asked for: the part of a KVM that works. */
const emulating = (): ReturnType<typeof editing> =>
  editing((args) =>
    args.map((arg, index) => (args[index - 1] === "-accel" ? "tcg" : args[index - 1] === "-cpu" ? "max" : arg)),
  );

/** As a KVM that refuses to run a guest. */
const refusing = (): ReturnType<typeof editing> =>
  editing((args) => args.map((arg, index) => (args[index - 1] === "-cpu" && arg === "host" ? "no-such-cpu" : arg)));

test("the probe guest does all that it should on an emulated processor", async () => {
  assert.deepEqual(await runProbe(launcher, "tcg", 120_000), { ok: true });
});

test("a processor that cannot enter 64-bit mode is found out, and where it failed is said", async () => {
  const old = editing((args) => args.map((arg) => (arg === "max" ? "qemu32" : arg)));
  assert.deepEqual(await runProbe(old, "tcg", 120_000), {
    ok: false,
    why: "a test guest failed at entering 64-bit mode",
  });
});

test("a guest that hangs is given up after the time limit", async () => {
  const paused = editing((args) => [...args, "-S"]);
  assert.deepEqual(await runProbe(paused, "tcg", 300), {
    ok: false,
    why: "a test guest did not end within 0.3 s at starting its firmware",
  });
});

test("KVM is chosen on this machine when, and only when, a guest ran with it", async () => {
  const { accel, why } = await probeAcceleration(launcher);
  if (why.startsWith("there is no") || why.includes("cannot be opened")) assert.equal(accel, "tcg");
  else assert.equal(accel === "kvm", (await runProbe(launcher, "kvm")).ok, why);
});

test("without the device, or without the right to it, emulation is chosen and nothing runs", async (t) => {
  const unused = emulating();
  const missing = path.join(scratch(t), "kvm");
  assert.deepEqual(await probeAcceleration(unused, { device: missing }), {
    accel: "tcg",
    why: `there is no ${missing}`,
  });
  const folder = scratch(t);
  assert.deepEqual(await probeAcceleration(unused, { device: folder }), {
    accel: "tcg",
    why: `${folder} cannot be opened (EISDIR)`,
  });
  assert.equal(unused.runs, 0);
});

test("a device that opens but runs no guest is not chosen, and QEMU's words are kept", async (t) => {
  const device = path.join(scratch(t), "kvm");
  writeFileSync(device, "");
  const { accel, why } = await probeAcceleration(refusing(), { device });
  assert.equal(accel, "tcg");
  assert.match(why, /is there, but a test guest failed at starting its firmware/);
});

test("the answer is kept until this machine boots again", async (t) => {
  const folder = scratch(t);
  const device = path.join(folder, "kvm");
  writeFileSync(device, "");
  const cacheDir = path.join(folder, "made/when/needed");
  const file = path.join(cacheDir, "acceleration.json");
  const counted = emulating();
  const first = await probeAcceleration(counted, { device, cacheDir, timeoutMs: 120_000 });
  assert.deepEqual(first, { accel: "kvm", why: `a test guest ran with ${device}` });
  assert.equal(counted.runs, 1);

  assert.deepEqual(await probeAcceleration(counted, { device, cacheDir }), first);
  assert.equal(counted.runs, 1);

  const kept = readFileSync(file, "utf8");
  assert.match(kept, new RegExp(bootId()));
  for (const stale of [kept.replace(bootId(), "another boot"), "damaged"]) {
    writeFileSync(file, stale);
    const before: number = counted.runs;
    assert.deepEqual(await probeAcceleration(counted, { device, cacheDir, timeoutMs: 120_000 }), first);
    assert.equal(counted.runs, before + 1);
    assert.equal(readFileSync(file, "utf8"), kept);
  }
});

test("when QEMU runs no guest at all the fault is QEMU's, and nothing is kept", async (t) => {
  const cacheDir = scratch(t);
  const device = path.join(cacheDir, "kvm");
  writeFileSync(device, "");
  const broken = editing((args) => [...args, "-no-such-option"]);
  const fault = await faultOf(probeAcceleration(broken, { device, cacheDir }));
  assert.equal(fault.code, "E_QEMU_START");
  assert.match(fault.details.join("\n"), /with KVM: .*\nwith TCG: /);
  assert.equal(existsSync(path.join(cacheDir, "acceleration.json")), false);
});
