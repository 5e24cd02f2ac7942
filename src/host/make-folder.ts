/** Makes a folder and those above it that are missing. */
import { mkdirSync, statSync } from "node:fs";
import path from "node:path";
import { errno } from "../fault/fault.ts";

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

const isThere = (file: string): boolean => statSync(file, { throwIfNoEntry: false }) !== undefined;
