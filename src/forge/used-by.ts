/** What a plan works with. */
import type { Digest, Key } from "../recipe/derivation.ts";
import type { Used } from "../store/uses.ts";
import type { Evaluation } from "./evaluate.ts";

/** All outputs and downloads of the plans. */
export function usedBy(...evaluations: readonly Evaluation[]): Used {
  const keys = new Set<Key>();
  const sources = new Set<Digest>();
  for (const { nodes } of evaluations) {
    for (const { key, derivation } of nodes.values()) {
      keys.add(key);
      if (derivation.kind === "fetch" && derivation.sha256 !== undefined) sources.add(derivation.sha256);
    }
  }
  return { keys, sources };
}
