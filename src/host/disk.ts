/** What a disk can refuse, as faults: there is no room, or one may not write. */
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";

/** No room for a file, by the disk's size or the user's quota. */
export const isFull = (error: unknown): boolean => ["ENOSPC", "EDQUOT"].includes(errno(error) ?? "");

/** No right to write, or a file system that is read-only. */
export const isRefused = (error: unknown): boolean => ["EROFS", "EACCES", "EPERM"].includes(errno(error) ?? "");

/** E_DISK_FULL or E_READ_ONLY for a system error that means so, else undefined. `file` is what was to be written. */
export function diskFault(cause: unknown, file: string): Fault | undefined {
  if (isFull(cause)) {
    return new Fault("E_DISK_FULL", `the disk is full: ${file} cannot be written`, {
      hint: "make room (`anvil gc` removes what no build needs) and start again: what is there is not done twice",
      cause,
    });
  }
  if (isRefused(cause)) {
    return new Fault("E_READ_ONLY", `${path.dirname(file)} cannot be written (${errno(cause)})`, {
      hint: "choose another cache folder, or give yourself the right to write there",
      cause,
    });
  }
  return undefined;
}
