/** Proofs on names, sizes and text of files: exists, contains, lacks, at-most. */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { errno } from "../../fault/fault.ts";
import type { Tree, TreeEntry } from "../tree.ts";
import { matching, matchingFiles, resolve } from "./patterns.ts";
import { verdict, type Verdict } from "./verdict.ts";

export function proveExists(patterns: readonly string[], tree: Tree): Verdict {
  let found = 0;
  const complaints: string[] = [];
  for (const pattern of patterns) {
    const entries = matching(pattern, tree);
    found += entries.length;
    if (entries.length === 0) complaints.push(`nothing is at ${pattern}`);
    for (const entry of entries) {
      // an absolute target may be delivered by another output; a relative one must be here
      const dangling =
        entry.kind === "link" && !entry.target.startsWith("/") && resolve(tree, entry.path) === undefined;
      if (dangling) complaints.push(`${entry.path} is a link to ${entry.target}, which is not in the output`);
    }
  }
  if (patterns.length === 0) complaints.push("no path is given");
  return verdict(complaints, `${found} found`);
}

/** Larger files are not searched for lines: they are not text. */
const textLimit = 64 << 20;

export async function proveContains(pattern: string, matches: string, tree: Tree): Promise<Verdict> {
  const files = matchingFiles(pattern, tree);
  const expression = new RegExp(matches);
  const complaints: string[] = files.length === 0 ? [`no file is at ${pattern}`] : [];
  let found = "";
  for (const file of files) {
    if (file.size > textLimit) {
      complaints.push(`${file.path} has ${file.size} bytes, too many to search for a line`);
      continue;
    }
    const text = await readText(tree, file, "utf8");
    if (text === undefined) {
      complaints.push(`${file.path} is not readable`);
      continue;
    }
    const line = text.split("\n").find((candidate) => expression.test(candidate));
    if (line === undefined) complaints.push(`no line of ${file.path} matches /${matches}/`);
    else found = line;
  }
  return verdict(complaints, found.trim());
}

/** Every file as bytes, one character each: what is compressed inside it is not seen. */
export async function proveLacks(pattern: string, matches: string, tree: Tree): Promise<Verdict> {
  const files = matchingFiles(pattern, tree);
  const expression = new RegExp(matches);
  const complaints: string[] = files.length === 0 ? [`no file is at ${pattern}`] : [];
  for (const file of files) {
    const text = await readText(tree, file, "latin1");
    const hit = text === undefined ? undefined : expression.exec(text)?.[0];
    if (text === undefined) complaints.push(`${file.path} is not readable`);
    else if (hit !== undefined) complaints.push(`${file.path} holds “${hit}”`);
  }
  return verdict(complaints, `${files.length} file${files.length === 1 ? "" : "s"} searched`);
}

async function readText(tree: Tree, file: TreeEntry, encoding: "utf8" | "latin1"): Promise<string | undefined> {
  try {
    return await readFile(path.join(tree.dir, file.path), encoding);
  } catch (error) {
    if (errno(error) === "EACCES") return undefined;
    throw error;
  }
}

export function proveNoSetId(tree: Tree): Verdict {
  const files = [...tree.entries.values()].filter(({ kind }) => kind === "file");
  const complaints = files.flatMap(({ path, mode }) =>
    (mode & 0o6000) === 0 ? [] : [`${path} has the bit set-user-ID or set-group-ID`],
  );
  return verdict(complaints, `${files.length} file${files.length === 1 ? "" : "s"}`);
}

export function proveAtMost(pattern: string, bytes: number, tree: Tree): Verdict {
  const files = matchingFiles(pattern, tree);
  const complaints: string[] = files.length === 0 ? [`no file is at ${pattern}`] : [];
  for (const file of files) {
    if (file.size > bytes) complaints.push(`${file.path} has ${file.size} bytes, ${file.size - bytes} too many`);
  }
  return verdict(complaints, files.map((file) => `${file.path} has ${file.size} bytes`).join("; "));
}
