/** What is done to a finished tree before it becomes an output. */
import { chmodSync, lchownSync, lstatSync, lutimesSync, type Stats } from "node:fs";
import { walk } from "./tree.ts";

/** 2000-01-01T00:00:00Z: after 1980, with which the times of zip archives begin. */
export const FIXED_TIME = 946_684_800;

/**
 * Makes all of it read-only. Also gives everything one time: a step that packs its inputs would otherwise tell when they
 * were built. What a step made under another user's id becomes this process's own.
 */
export function makeReadOnly(top: string): void {
  takeBack(top, lstatSync(top));
  for (const { full, stat } of walk(top)) {
    takeBack(full, stat);
    if (!stat.isSymbolicLink()) {
      const mode = stat.isDirectory() || (stat.mode & 0o100) !== 0 ? 0o555 : 0o444;
      if ((stat.mode & 0o7777) !== mode) chmodSync(full, mode);
    }
    lutimesSync(full, FIXED_TIME, FIXED_TIME);
  }
}

function takeBack(file: string, { uid }: Stats): void {
  // only root's steps are somebody else
  if (process.getuid?.() === 0 && uid !== 0) lchownSync(file, 0, 0);
}
