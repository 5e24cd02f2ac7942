/**
 * The digest of an output tree: SHA-256 over one line per entry, sorted by path bytes. A line is
 * `<type> <mode> <content> <path>\0` with type `d`, `f` or `l`, mode `x` (executable) or `-`, and content the SHA-256 of
 * the file's bytes, the link's target, or `-`. Times and owners do not count.
 */
import { createHash } from "node:crypto";
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, type Stats } from "node:fs";
import path from "node:path";
import { setImmediate as breathe } from "node:timers/promises";
import type { Digest } from "../recipe/derivation.ts";

export interface TreeSummary {
  readonly digest: Digest;
  readonly files: number;
  /** Sum of file sizes. */
  readonly bytes: number;
}

const chunk = Buffer.allocUnsafe(1 << 20);

/** SHA-256 of a file's bytes, hex. */
export function hashFile(file: string): Digest {
  const hash = createHash("sha256");
  const fd = openSync(file, "r");
  try {
    for (let n; (n = readSync(fd, chunk, 0, chunk.length, null)) > 0;) hash.update(chunk.subarray(0, n));
  } finally {
    closeSync(fd);
  }
  return hash.digest("hex") as Digest;
}

/** Entries below `top` in order of their path's bytes, parents before children. */
export function* walk(
  top: string,
  below = "",
): Generator<{ readonly path: string; readonly full: string; readonly stat: Stats }> {
  const names = readdirSync(path.join(top, below)).sort((a, b) => (a < b ? -1 : 1));
  for (const name of names) {
    const relative = below === "" ? name : `${below}/${name}`;
    const full = path.join(top, relative);
    const stat = lstatSync(full);
    yield { path: relative, full, stat };
    if (stat.isDirectory()) yield* walk(top, relative);
  }
}

/** Reads the whole tree. Lets other work run between entries. */
export async function hashTree(top: string): Promise<TreeSummary> {
  const hash = createHash("sha256");
  let files = 0;
  let bytes = 0;
  let unyielded = 0;
  for (const entry of walk(top)) {
    const { stat } = entry;
    const mode = stat.isFile() && (stat.mode & 0o100) !== 0 ? "x" : "-";
    let type = "d";
    let content = "-";
    if (stat.isSymbolicLink()) {
      type = "l";
      content = readlinkSync(entry.full);
    } else if (stat.isFile()) {
      type = "f";
      content = hashFile(entry.full);
      files += 1;
      bytes += stat.size;
      unyielded += stat.size + 4096;
    }
    hash.update(`${type} ${mode} ${content} ${entry.path}\0`);
    if (unyielded > 1 << 24) {
      unyielded = 0;
      await breathe();
    }
  }
  return { digest: hash.digest("hex") as Digest, files, bytes };
}
