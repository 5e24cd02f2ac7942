/** Proofs on how ELF files are linked: static, static-pie. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import path from "node:path";
import { errno } from "../../fault/fault.ts";
import type { ByteSource } from "../../format/byte-source.ts";
import { isElf, readElf, type Elf } from "../../format/elf.ts";
import { FormatError } from "../../format/format-error.ts";
import type { Tree, TreeEntry } from "../tree.ts";
import { matchingFiles } from "./patterns.ts";
import { verdict, type Verdict } from "./verdict.ts";

/** Opens a file for reading its headers; `use` must not keep the source. */
function withFile<T>(tree: Tree, file: TreeEntry, use: (source: ByteSource) => T): T {
  const descriptor = openSync(path.join(tree.dir, file.path), "r");
  try {
    return use({
      size: fstatSync(descriptor).size,
      read: (offset, length) => {
        const bytes = new Uint8Array(length);
        let filled = 0;
        while (filled < length) {
          const count = readSync(descriptor, bytes, filled, length - filled, offset + filled);
          if (count === 0) throw new FormatError("the file became shorter while it was read");
          filled += count;
        }
        return bytes;
      },
    });
  } finally {
    closeSync(descriptor);
  }
}

/** What `judge` says of a file, with a malformed file as a complaint too. */
export function examine(tree: Tree, file: TreeEntry, judge: (source: ByteSource) => readonly string[]): string[] {
  try {
    return withFile(tree, file, judge).map((complaint) => `${file.path}${complaint}`);
  } catch (error) {
    if (error instanceof FormatError) return [`${file.path} cannot be read as ELF: ${error.message}`];
    if (errno(error) === "EACCES") return [`${file.path} is not readable`];
    throw error;
  }
}

/** Programs and libraries of every pattern, judged; other files are passed over. */
export function proveElf(patterns: readonly string[], tree: Tree, judge: (elf: Elf) => string[]): Verdict {
  const complaints: string[] = patterns.length === 0 ? ["no path is given"] : [];
  let total = 0;
  for (const pattern of patterns) {
    let found = 0;
    for (const file of matchingFiles(pattern, tree)) {
      const wrong = examine(tree, file, (source) => {
        if (!isElf(source)) return [];
        found++;
        const elf = readElf(source);
        const linked = elf.type === "executable" || elf.type === "shared";
        if (!linked) found--;
        return linked ? judge(elf).map((complaint) => ` ${complaint}`) : [];
      });
      complaints.push(...wrong);
    }
    if (found === 0) complaints.push(`no linked ELF file is at ${pattern}`);
    total += found;
  }
  return verdict(complaints, `${total} ELF file${total === 1 ? "" : "s"}`);
}

export function notStatic(elf: Elf): string[] {
  const wrong: string[] = [];
  if (elf.interpreter !== undefined) wrong.push(`asks for the loader ${elf.interpreter}`);
  const needed = elf.dynamic?.needed ?? [];
  if (needed.length > 0) wrong.push(`needs ${needed.join(", ")}`);
  return wrong;
}

export function notStaticPie(elf: Elf): string[] {
  const wrong = notStatic(elf);
  if (elf.type !== "shared") wrong.push("is not position-independent");
  if (!elf.relro) wrong.push("has no PT_GNU_RELRO");
  if (elf.executableStack) wrong.push("has an executable stack");
  return wrong;
}
