/** The proof that an output does not tell where it was built: no-build-paths. */
import { open } from "node:fs/promises";
import path from "node:path";
import { errno } from "../../fault/fault.ts";
import type { Tree, TreeEntry } from "../tree.ts";
import { globToRegExp } from "./patterns.ts";
import { verdict, type Verdict } from "./verdict.ts";

const chunkSize = 1 << 20;
/** Bytes around a hit that decide whether it is one and that are shown. */
const context = 40;
const shown = 60;

interface Needle {
  readonly bytes: Buffer;
  /** Where a longer path may end with the same text, as in `linux/in/`. */
  readonly atPathStart: boolean;
  /** What must follow, for a needle so short that compressed data holds it by chance. */
  readonly followedBy: RegExp;
}

/**
 * Looks at the bytes of every regular file and the target of every link. What is inside a compressed file is not seen.
 * `/in/` counts only with a name of two letters or more behind it.
 */
export async function proveNoBuildPaths(except: readonly string[], tree: Tree, storePath: string): Promise<Verdict> {
  const exceptions = except.map(globToRegExp);
  const needles = buildPathNeedles(storePath);
  const files = [...tree.entries.values()].filter((entry) => entry.kind === "file" || entry.kind === "link");
  const complaints: string[] = [];
  let looked = 0;
  for (const file of files) {
    if (exceptions.some((expression) => expression.test(file.path))) continue;
    looked++;
    if (file.kind === "link") {
      const hit = findIn(Buffer.from(file.target), needles);
      if (hit !== undefined) complaints.push(`${file.path} leads to “${hit}”`);
    } else {
      complaints.push(...(await searchFile(tree, file, needles)));
    }
  }
  if (looked === 0) complaints.push("there is no file to search");
  return verdict(complaints, `${looked} files searched`);
}

function buildPathNeedles(storePath: string): Needle[] {
  const needles: Needle[] = ["/build/", "/deps/", "/tools/", "/out/"].map((text) => {
    return { bytes: Buffer.from(text), atPathStart: true, followedBy: /^/ };
  });
  needles.push({ bytes: Buffer.from("/in/"), atPathStart: true, followedBy: /^[A-Za-z0-9._+-]{2}/ });
  const store = storePath.replace(/\/+$/, "");
  if (store !== "") needles.push({ bytes: Buffer.from(store), atPathStart: false, followedBy: /^/ });
  return needles;
}

async function searchFile(tree: Tree, file: TreeEntry, needles: readonly Needle[]): Promise<string[]> {
  try {
    const hit = await findInFile(tree, file, needles);
    return hit === undefined ? [] : [`${file.path} holds “${hit}”`];
  } catch (error) {
    if (errno(error) === "EACCES") return [`${file.path} is not readable`];
    throw error;
  }
}

async function findInFile(
  tree: Tree,
  { path: name, size }: TreeEntry,
  needles: readonly Needle[],
): Promise<string | undefined> {
  const tail = Math.max(...needles.map((needle) => needle.bytes.length)) + shown;
  const window = Buffer.allocUnsafe(Math.min(context + chunkSize + tail, size + 1));
  const handle = await open(path.join(tree.dir, name), "r");
  try {
    // windows overlap: a hit is taken in the chunk where it starts, with its surroundings from both neighbours
    for (let chunk = 0; ; chunk += chunkSize) {
      const from = Math.max(0, chunk - context);
      const length = Math.min(chunk - from + chunkSize + tail, window.length);
      let filled = 0;
      while (filled < length) {
        const { bytesRead } = await handle.read(window, filled, length - filled, from + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      const hit = findIn(window.subarray(0, filled), needles, chunk - from, chunk - from + chunkSize);
      if (hit !== undefined) return hit;
      if (filled < length) return undefined;
    }
  } finally {
    await handle.close();
  }
}

/** The text around the first hit that starts at `from` or later and before `to`. */
function findIn(bytes: Buffer, needles: readonly Needle[], from = 0, to = bytes.length): string | undefined {
  for (const needle of needles) {
    for (let at = bytes.indexOf(needle.bytes, from); at >= 0 && at < to; at = bytes.indexOf(needle.bytes, at + 1)) {
      const end = at + needle.bytes.length;
      const before = bytes.toString("latin1", Math.max(0, at - context), at);
      const after = bytes.toString("latin1", end, end + shown);
      if (needle.atPathStart && !startsPath(before)) continue;
      if (!needle.followedBy.test(after)) continue;
      return (
        (/[\x20-\x7e]*$/.exec(before)?.[0] ?? "") + needle.bytes.toString() + (/^[\x20-\x7e]*/.exec(after)?.[0] ?? "")
      );
    }
  }
  return undefined;
}

/** Options of compilers and linkers to which a path is appended without a gap. */
const joinedOption = /(?:^|[^A-Za-z0-9._-])-(?:I|L|B|R|F|T|o|isystem|idirafter|iquote|include|imacros)$/;

/**
 * False when the text before a "/" is the beginning of the path: a name, a variable such as `$(srctree)` or
 * `${prefix}`, a wildcard, `~` or another slash.
 */
function startsPath(before: string): boolean {
  return !/[A-Za-z0-9._\-/)\]}>*~+@%$]$/.test(before) || joinedOption.test(before);
}
