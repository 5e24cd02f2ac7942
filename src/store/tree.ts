/**
 * The digest of an output tree: SHA-256 over all entries in the order of a walk (a folder before what is in it; the names
 * of a folder in the order of their UTF-16 code units). An entry is four fields, each ended by a zero byte, which none of
 * them can hold, so that no two trees have one listing: type (`d`, `f` or `l`), mode (`x` or `-`), content (the SHA-256
 * of the file's bytes, the link's target, or `-`), path. Times and owners do not count.
 */
import { createHash } from "node:crypto";
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, type Stats } from "node:fs";
import path from "node:path";
import { setImmediate as breathe } from "node:timers/promises";
import { Fault } from "../fault/fault.ts";
import type { Digest } from "../recipe/derivation.ts";

/**
 * Which listing a digest is of. The first one separated fields by spaces, which paths and targets may hold: records of
 * that time are compared by it until `anvil verify` has brought them up to date.
 */
export const LAYOUT = 2;
export type Layout = 1 | typeof LAYOUT;

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

/** Entries below `top`: a folder before what is in it, the names of a folder in the order of their UTF-16 code units. */
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

/**
 * Reads the whole tree. Lets other work run between entries. Throws E_OUTPUT_FILE_TYPE for what is neither file, folder
 * nor link.
 */
export async function hashTree(top: string): Promise<TreeSummary> {
  const { digests, ...summary } = await hashTreeAs(top, [LAYOUT]);
  return { digest: digests[0] as Digest, ...summary };
}

/** The digest in several layouts at once: the files are read once. */
export async function hashTreeAs(
  top: string,
  layouts: readonly Layout[],
): Promise<Omit<TreeSummary, "digest"> & { readonly digests: readonly Digest[] }> {
  const hashes = layouts.map((layout) => ({ layout, hash: createHash("sha256") }));
  let files = 0;
  let bytes = 0;
  let unyielded = 0;
  for (const { path: name, full, stat } of walk(top)) {
    const mode = stat.isFile() && (stat.mode & 0o100) !== 0 ? "x" : "-";
    let type = "d";
    let content: string | Buffer = "-";
    if (stat.isSymbolicLink()) {
      type = "l";
      // bytes: as text, all that is not UTF-8 would be the same
      content = readlinkSync(full, "buffer");
    } else if (stat.isFile()) {
      type = "f";
      content = hashFile(full);
      files += 1;
      bytes += stat.size;
      unyielded += stat.size + 4096;
    } else if (!stat.isDirectory()) {
      throw new Fault("E_OUTPUT_FILE_TYPE", `${name} is neither file, folder nor link`, { details: [`in ${top}`] });
    }
    for (const { layout, hash } of hashes) {
      if (layout === 1) hash.update(`${type} ${mode} ${content.toString()} ${name}\0`);
      else hash.update(`${type}\0${mode}\0`).update(content).update(`\0${name}\0`);
    }
    if (unyielded > 1 << 24) {
      unyielded = 0;
      await breathe();
    }
  }
  return { digests: hashes.map(({ hash }) => hash.digest("hex") as Digest), files, bytes };
}
