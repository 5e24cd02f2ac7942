/** What a disk can refuse, as faults. */
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";

/** E_DISK_FULL or E_READ_ONLY for a system error that means so, else undefined. `file` is what was to be written. */
export function diskFault(cause: unknown, file: string): Fault | undefined {
  const code = errno(cause);
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new Fault("E_DISK_FULL", `the disk is full: ${file} cannot be written`, {
      hint: "make room (`anvil gc` removes what no build needs) and start again: what is there is not done twice",
      cause,
    });
  }
  if (code === "EROFS" || code === "EACCES" || code === "EPERM") {
    return new Fault("E_READ_ONLY", `${path.dirname(file)} cannot be written (${code})`, {
      hint: "choose another cache folder, or give yourself the right to write there",
      cause,
    });
  }
  return undefined;
}
