import assert from "node:assert/strict";
import { readdirSync, readlinkSync } from "node:fs";
import path from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import {
  expectedOfCalls,
  forbiddenCalls,
  kernelIds,
  noneWritable,
  processesBelow,
  writableProc,
} from "../sandbox/probe.ts";
import { bootGuest, guestDisk, scratch } from "./guest.ts";
import { launcher } from "./launcher.ts";

/** What a program says that runs where QEMU does. */
async function says(program: string, args: readonly string[]): Promise<string> {
  const child = launcher.start(program, args, [], { stdio: ["ignore", "pipe", "pipe"] });
  const [said] = await Promise.all([text(child.stdout as Readable), text(child.stderr as Readable)]);
  return said.trim();
}

test("where QEMU runs no file of /proc opens for writing, and calls that no guest needs are refused", async () => {
  assert.match(await says("bash", ["-c", writableProc]), noneWritable);
  assert.deepEqual((await says("perl", ["-e", forbiddenCalls])).split("\n"), expectedOfCalls());
});

test("QEMU has an id that is not root's, the files of its machine by descriptor, and no other file of the host", async (t) => {
  const serialLog = path.join(scratch(t), "serial.log");
  const disk = guestDisk(t);
  const machine = await bootGuest(t, { disks: [{ path: disk, bus: "virtio" }], serialLog });
  const pids = [machine.pid, ...processesBelow(machine.pid, "qemu-system")];
  assert.ok(!kernelIds(pids).includes(0));
  if (process.getuid?.() === 0) assert.equal(kernelIds(pids).length, 1);
  const qemu = pids.at(-1) as number;
  const files = readdirSync(`/proc/${qemu}/fd`)
    .map((fd) => readlinkSync(`/proc/${qemu}/fd/${fd}`))
    .filter((target) => target.startsWith("/") && !target.startsWith("/dev/") && !target.startsWith("/proc/"));
  assert.deepEqual([...new Set(files)].sort(), [disk, serialLog].sort());
});
