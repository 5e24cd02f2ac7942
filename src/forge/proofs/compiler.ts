/** Proofs on who compiled ELF files and members of archives: built-by-anvil-cc, rust-by-anvil-cc. */
import { arMembers, isAr } from "../../format/ar.ts";
import { part, type ByteSource } from "../../format/byte-source.ts";
import { isElf, readElf } from "../../format/elf.ts";
import type { Tree } from "../tree.ts";
import { examine } from "./elf.ts";
import { matchingFiles } from "./patterns.ts";
import { verdict, type Verdict } from "./verdict.ts";

const anvilCc = /^GCC: \(ANVIL-CC/;
export const rust = /^rustc version \d/;
/** What linkers and assemblers write: no compiler. */
const neutral = /^(Linker: |GNU ld |GNU gold |GNU AS )/;

interface Testimony {
  /** ELF files and archive members that were read. */
  readonly objects: number;
  /** How many of them say that ANVIL-CC compiled them. */
  readonly anvil: number;
  readonly complaints: readonly string[];
}

/** Objects that were assembled by hand say nothing, so every pattern must also find something that does. */
export function proveCompiler(patterns: readonly string[], tree: Tree, beside?: RegExp): Verdict {
  const complaints: string[] = patterns.length === 0 ? ["no path is given"] : [];
  let total = 0;
  for (const pattern of patterns) {
    let objects = 0;
    let anvil = 0;
    const before = complaints.length;
    for (const file of matchingFiles(pattern, tree)) {
      const wrong = examine(tree, file, (source) => {
        const testimony = isElf(source) ? hearObject(source, beside) : isAr(source) ? hearArchive(source) : undefined;
        objects += testimony?.objects ?? 0;
        anvil += testimony?.anvil ?? 0;
        return testimony?.complaints ?? [];
      });
      complaints.push(...wrong);
    }
    if (objects === 0) complaints.push(`no ELF file is at ${pattern}`);
    else if (anvil === 0 && complaints.length === before) complaints.push(`nothing at ${pattern} says who compiled it`);
    total += objects;
  }
  return verdict(complaints, `${total} ELF file${total === 1 ? "" : "s"}`);
}

function hearArchive(archive: ByteSource): Testimony {
  const complaints: string[] = [];
  let objects = 0;
  let anvil = 0;
  for (const { name, offset, size } of arMembers(archive)) {
    const source = part(archive, offset, size, name);
    if (!isElf(source)) continue;
    const testimony = hearObject(source);
    objects++;
    anvil += testimony.anvil;
    complaints.push(...testimony.complaints.map((complaint) => `(${name})${complaint}`));
  }
  // a library whose comments were stripped off looks as if it were all assembly
  if (objects > 0 && anvil === 0 && complaints.length === 0)
    complaints.push(" has no member that says who compiled it");
  return { objects, anvil, complaints };
}

/** @param beside another compiler that there must be, too */
function hearObject(source: ByteSource, beside?: RegExp): Testimony {
  const elf = readElf(source);
  const compilers = elf.comments.filter((comment) => !neutral.test(comment));
  const foreign = compilers.filter((comment) => !anvilCc.test(comment) && beside?.test(comment) !== true);
  // an object that was assembled by hand has neither a comment nor the name of a source file
  const assembled = elf.type === "relocatable" && !elf.namesSourceFile;
  const complaints: string[] = [];
  if (foreign.length > 0) complaints.push(` was compiled by ${foreign.join(" and ")}`);
  else if (beside !== undefined && !compilers.some((comment) => beside.test(comment)))
    complaints.push(` does not name ${beside.source}`);
  else if (beside !== undefined && !compilers.some((comment) => anvilCc.test(comment)))
    complaints.push(" does not name ANVIL-CC");
  else if (compilers.length === 0 && !assembled) complaints.push(" does not say who compiled it");
  return { objects: 1, anvil: compilers.length > foreign.length ? 1 : 0, complaints };
}
