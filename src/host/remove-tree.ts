/** Deletes folders, also read-only ones. */
import { chmodSync, lstatSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { errno } from "../fault/fault.ts";

/** Deletes a tree whose folders may be read-only. Another process may be deleting it too. */
export function removeTree(top: string): void {
  if (lstatSync(top, { throwIfNoEntry: false })?.isDirectory() === true) unlock(top);
  rmSync(top, { recursive: true, force: true });
}

function unlock(folder: string): void {
  try {
    chmodSync(folder, 0o755);
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) unlock(path.join(folder, entry.name));
    }
  } catch (error) {
    if (errno(error) !== "ENOENT") throw error;
  }
}
