/** Carries out the proofs of a recipe (src/recipe/proof.ts) on an output before it enters the store. */
import { Fault } from "../fault/fault.ts";
import type { Proof } from "../recipe/proof.ts";
import { proveNoBuildPaths } from "./proofs/build-paths.ts";
import { proveCompiler, rust } from "./proofs/compiler.ts";
import { notStatic, notStaticPie, proveElf } from "./proofs/elf.ts";
import { proveAtMost, proveContains, proveExists, proveLacks, proveNoSetId } from "./proofs/files.ts";
import { proveRuns, type RunInside } from "./proofs/runs.ts";
import type { Verdict } from "./proofs/verdict.ts";
import { readTree, type Tree } from "./tree.ts";

export interface ProofResult {
  readonly proof: Proof;
  readonly ok: boolean;
  /** One line: what was found, or the first things that are wrong. */
  readonly detail: string;
}

export interface ProofTools {
  readonly run: RunInside;
  /** Absolute path of the store on this machine. */
  readonly storePath: string;
}

/**
 * The result of every proof, in order; a failed one does not stop the others. Reads below `outDir` only: links are
 * followed as if `outDir` were the root. A proof whose pattern matches nothing fails. Throws E_OUTPUT_FILE_TYPE for a
 * tree that holds anything but files, folders and links, and what readTree throws.
 */
export async function prove(proofs: readonly Proof[], outDir: string, tools: ProofTools): Promise<ProofResult[]> {
  const tree = readTree(outDir);
  refuseSpecialFiles(tree);
  const results: ProofResult[] = [];
  for (const proof of proofs) {
    const verdict = await carryOut(proof, tree, tools);
    results.push({ proof, ...verdict });
  }
  return results;
}

function refuseSpecialFiles(tree: Tree): void {
  const special = [...tree.entries.values()].filter(({ kind }) => kind === "other").map((entry) => entry.path);
  if (special.length === 0) return;
  throw new Fault("E_OUTPUT_FILE_TYPE", "a socket, pipe or device node cannot be stored", {
    details: special.slice(0, 10),
    hint: "remove it in the recipe's script",
  });
}

function carryOut(proof: Proof, tree: Tree, tools: ProofTools): Promise<Verdict> | Verdict {
  switch (proof.check) {
    case "exists":
      return proveExists(proof.paths, tree);
    case "static":
      return proveElf(proof.paths, tree, notStatic);
    case "static-pie":
      return proveElf(proof.paths, tree, notStaticPie);
    case "built-by-anvil-cc":
      return proveCompiler(proof.paths, tree);
    case "rust-by-anvil-cc":
      return proveCompiler(proof.paths, tree, rust);
    case "no-build-paths":
      return proveNoBuildPaths(proof.except, tree, tools.storePath);
    case "runs":
      return proveRuns(proof, tree, tools.run);
    case "contains":
      return proveContains(proof.path, proof.matches, tree);
    case "lacks":
      return proveLacks(proof.path, proof.matches, tree);
    case "no-set-id":
      return proveNoSetId(tree);
    case "at-most":
      return proveAtMost(proof.path, proof.bytes, tree);
  }
}
