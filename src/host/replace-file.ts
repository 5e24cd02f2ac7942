/** A file that others see as it was or as it becomes, never half of it. */
import { randomBytes } from "node:crypto";
import { linkSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { errno } from "../fault/fault.ts";

export interface WriteOptions {
  readonly mode?: number;
  /** Also after a power cut: the bytes are on the disk before the file has its name. */
  readonly flush?: boolean;
}

/** A name beside `file` for what will take its place. Process numbers are not enough: containers that share a folder repeat them. */
export function draftOf(file: string): string {
  return `${file}.${randomBytes(6).toString("hex")}.new`;
}

/** Throws what writing throws; then the old file is as it was. The folder must be there. */
export function replaceFile(file: string, content: string | Uint8Array, options: WriteOptions = {}): void {
  withDraft(file, content, options, (draft) => renameSync(draft, file));
}

/** Says false, and changes nothing, when the file is there already: of several processes that write it one succeeds. */
export function createFile(file: string, content: string | Uint8Array, options: WriteOptions = {}): boolean {
  try {
    // link(2), unlike rename, never replaces
    withDraft(file, content, options, (draft) => linkSync(draft, file));
    return true;
  } catch (error) {
    if (errno(error) === "EEXIST") return false;
    throw error;
  }
}

function withDraft(
  file: string,
  content: string | Uint8Array,
  { mode = 0o666, flush = false }: WriteOptions,
  place: (draft: string) => void,
): void {
  const draft = draftOf(file);
  try {
    writeFileSync(draft, content, { mode, flag: "wx", flush });
    place(draft);
  } finally {
    rmSync(draft, { force: true });
  }
}
