/** Descriptors that a sandbox is started with. */
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { systemCallFilter } from "./filter.ts";

/** O_CLOEXEC in the flags of /proc/self/fdinfo. */
const CLOSE_ON_EXEC = 0o2000000;

let inherited: readonly number[] | undefined;

/**
 * Those that this process has from its parent and would pass on. Node opens its own to be closed when a program starts,
 * and marks so what it was given, but only up to the first gap above 15.
 */
export function inheritedDescriptors(): readonly number[] {
  return (inherited ??= readdirSync("/proc/self/fd")
    .map(Number)
    .filter((fd) => fd > 2 && passesOn(fd)));
}

function passesOn(fd: number): boolean {
  try {
    const flags = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1] ?? "0";
    return (parseInt(flags, 8) & CLOSE_ON_EXEC) === 0;
  } catch {
    return false; // the one of the folder that was read
  }
}

let filter: number | undefined;

/** The filter of system calls, from its first byte; the caller closes it. Throws E_TEMP_FOLDER. */
export function openFilter(): number {
  filter ??= unnamedFile(systemCallFilter());
  // a descriptor of its own: bubblewrap reads to the end
  return openSync(`/proc/self/fd/${filter}`, "r");
}

function unnamedFile(bytes: Buffer): number {
  const tried: string[] = [];
  for (const place of new Set([os.tmpdir(), "/tmp", "/var/tmp", "/dev/shm"])) {
    try {
      const folder = mkdtempSync(path.join(place, "anvil-filter-"));
      try {
        const fd = openSync(path.join(folder, "filter"), "wx+", 0o600);
        if (writeSync(fd, bytes) === bytes.length) return fd;
        closeSync(fd);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    } catch (error) {
      tried.push(`${place}: ${(error as Error).message}`);
    }
  }
  throw new Fault("E_TEMP_FOLDER", "there is no folder for a temporary file", {
    details: tried,
    hint: "set TMPDIR to a folder that can be written",
  });
}
