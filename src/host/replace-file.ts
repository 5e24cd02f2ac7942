/** A file that others see as it was or as it becomes, never half of it. */
import { randomBytes } from "node:crypto";
import { renameSync, rmSync, writeFileSync } from "node:fs";

/** A name beside `file` for what will take its place. Process numbers are not enough: containers that share a folder repeat them. */
export function draftOf(file: string): string {
  return `${file}.${randomBytes(6).toString("hex")}.new`;
}

/** Throws what writing throws; then the old file is as it was. */
export function replaceFile(file: string, content: string | Uint8Array, mode = 0o666): void {
  const draft = draftOf(file);
  try {
    writeFileSync(draft, content, { mode, flag: "wx" });
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}
