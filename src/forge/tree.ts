/** What is in an output before it enters the store: the listing that proofs and archives start from. */
import { readlinkSync } from "node:fs";
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";
import { walk } from "../store/tree.ts";

export interface TreeEntry {
  /** Relative to the folder, separated by "/". */
  readonly path: string;
  readonly kind: "file" | "folder" | "link" | "other";
  /** Permission bits. */
  readonly mode: number;
  /** Bytes of a file. */
  readonly size: number;
  /** Target of a link, else empty. */
  readonly target: string;
}

export interface Tree {
  /** Absolute path of the folder on this machine. */
  readonly dir: string;
  /** By path; a folder stands before what is in it. */
  readonly entries: ReadonlyMap<string, TreeEntry>;
}

/**
 * Everything below a folder; links are listed, never followed.
 * Throws E_OUTPUT_UNREADABLE for a folder that may not be read, E_OUTPUT_NAME for a name that is not UTF-8.
 */
export function readTree(dir: string): Tree {
  const entries = new Map<string, TreeEntry>();
  try {
    for (const { path: name, full, stat } of walk(dir)) {
      const kind = stat.isFile() ? "file" : stat.isDirectory() ? "folder" : stat.isSymbolicLink() ? "link" : "other";
      const target = kind === "link" ? readlinkSync(full) : "";
      entries.set(name, { path: name, kind, mode: stat.mode & 0o7777, size: stat.size, target });
    }
  } catch (error) {
    throw asFault(error, dir);
  }
  return { dir, entries };
}

function asFault(error: unknown, dir: string): unknown {
  const at = (error as { path?: unknown } | null)?.path;
  if (typeof at !== "string") return error;
  const name = path.relative(dir, at);
  if (errno(error) === "EACCES") {
    return new Fault("E_OUTPUT_UNREADABLE", `the folder ${name === "" ? dir : name} may not be read`, {
      details: [`output: ${dir}`],
      hint: "the step made it without permissions for its owner; a chmod in the recipe's script gives them back",
      cause: error,
    });
  }
  // bytes that are not UTF-8 arrive as U+FFFD, and such a name leads to no file
  if (errno(error) === "ENOENT" && name.includes("\ufffd")) {
    return new Fault("E_OUTPUT_NAME", `the name ${JSON.stringify(name)} is not UTF-8`, {
      details: [`output: ${dir}`],
      hint: "remove or rename the file in the recipe's script",
      cause: error,
    });
  }
  return error;
}
