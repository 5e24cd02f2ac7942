/** Copies of outputs outside of the store. */
import { copyFileSync, existsSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";
import { makeFolder } from "../host/make-folder.ts";
import { draftOf } from "../host/replace-file.ts";

/**
 * Copies a file out of the store so that a reader sees the old file or the new one. Throws E_DISK_FULL, or E_READ_ONLY
 * for a folder that cannot be written.
 */
export function copyOut(from: string, to: string): void {
  const draft = draftOf(to);
  try {
    makeFolder(path.dirname(to), 0o777);
    copyFileSync(from, draft);
    renameSync(draft, to);
  } catch (error) {
    if (existsSync(draft)) rmSync(draft);
    const [code, what] = ["ENOSPC", "EDQUOT"].includes(errno(error) ?? "")
      ? (["E_DISK_FULL", "no space left for"] as const)
      : (["E_READ_ONLY", "cannot write"] as const);
    throw new Fault(code, `${what} ${to}`, {
      details: [(error as Error).message],
      hint: "choose another folder with --out; the result itself is safe in the store",
      cause: error,
    });
  }
}
