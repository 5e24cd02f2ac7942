/** What a failed write below the cache folder means. */
import { errno, Fault } from "../fault/fault.ts";
import { isFull, isRefused } from "../host/disk.ts";
import { fileSystemOf } from "../host/file-system.ts";

/** The fault for a failed write below the cache folder; other errors are passed through. */
export function writeFault(error: unknown, where: string): unknown {
  if (isFull(error))
    return new Fault("E_DISK_FULL", `no space left for ${where}`, {
      hint: "free some space (a cold forge needs about 12 GB), or run `anvil gc`; nothing half-written was kept",
      cause: error,
    });
  return isRefused(error) || errno(error) === "ENOTDIR" ? readOnly(error, where) : error;
}

export function readOnly(error: unknown, where: string): Fault {
  return new Fault("E_READ_ONLY", `cannot write to the cache folder ${where}`, {
    details: [(error as Error).message, ...networkFacts(where)],
    hint: "make it writable, or choose another with ANVIL_CACHE=<folder>",
    cause: error,
  });
}

/** A server may refuse root what it lets others do. */
function networkFacts(where: string): string[] {
  const found = fileSystemOf(where);
  return found?.network === true ? [`it is on a network file system, ${found.type} at ${found.mountPoint}`] : [];
}
