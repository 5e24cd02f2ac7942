/** Failures that a full disk caused: a step on one fails in its own words, and some steps tidy up before they end. */
import { statfsSync } from "node:fs";
import { Fault } from "../fault/fault.ts";
import { writeFault } from "../store/write-fault.ts";

/** Free bytes below which a failure is taken for the full disk's: by itself, and when the step speaks of it. */
const FULL = 1 << 20;
const ALMOST_FULL = 1 << 28;

/** @param tail the last lines that the step printed */
export function diskIsFull(folder: string, tail: readonly string[]): boolean {
  const { bavail, bsize, ffree, files } = statfsSync(folder);
  const free = bavail * bsize;
  const said = tail.some((line) => line.includes("No space left on device"));
  return free < (said ? ALMOST_FULL : FULL) || (files > 0 && ffree === 0);
}

/** E_DISK_FULL in the place of what a step failed with. */
export function diskFull(cause: Fault, folder: string): Fault {
  if (cause.code === "E_DISK_FULL") return cause;
  const full = writeFault(Object.assign(new Error(cause.message), { code: "ENOSPC" }), folder) as Fault;
  return new Fault("E_DISK_FULL", full.message, {
    details: [cause.message],
    ...(full.hint === undefined ? {} : { hint: full.hint }),
    ...(cause.log === undefined ? {} : { log: cause.log }),
    cause,
  });
}
