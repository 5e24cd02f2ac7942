/** Makes a folder and those above it that are missing. */
import { mkdirSync, statSync } from "node:fs";
import path from "node:path";
import { errno, Fault, reasonOf } from "../fault/fault.ts";
import { isFull } from "./disk.ts";

/**
 * As `mkdir -p`. Node's own recursive mkdir takes "no such file" for a missing parent, always, and tries again. Throws the error of
 * mkdir(2).
 */
export function makeFolder(folder: string, mode: number): void {
  try {
    mkdirSync(folder, mode);
  } catch (error) {
    if (errno(error) === "EEXIST" && statSync(folder).isDirectory()) return;
    const parent = path.dirname(folder);
    if (errno(error) !== "ENOENT" || isThere(parent)) throw error;
    makeFolder(parent, mode);
    mkdirSync(folder, mode);
  }
}

/** The same for a folder that a user has named for results. Throws E_DISK_FULL and E_READ_ONLY. */
export function makeNamedFolder(folder: string): void {
  try {
    makeFolder(folder, 0o777);
  } catch (cause) {
    throw new Fault(isFull(cause) ? "E_DISK_FULL" : "E_READ_ONLY", `${folder} cannot be made: ${reasonOf(cause)}`, {
      hint: "name another folder",
      cause,
    });
  }
}

const isThere = (file: string): boolean => statSync(file, { throwIfNoEntry: false }) !== undefined;
