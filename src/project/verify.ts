import { readdirSync } from "node:fs";
import type { Digest } from "../recipe/derivation.ts";
import { recordName } from "../store/garbage.ts";
import { removeTree } from "../host/remove-tree.ts";
import type { Project } from "./project.ts";

export interface Verified {
  /** How many were read. */
  readonly outputs: number;
  readonly sources: number;
  readonly damaged: readonly string[];
}

/** Reads everything in the store again and compares it with its hash. What is damaged is removed, unless it is to be kept. */
export async function verifyStore({ store }: Project, { keep }: { readonly keep: boolean }): Promise<Verified> {
  const damaged: string[] = [];
  const records = store.outputs.records();
  for (const record of records) {
    if (await store.outputs.check(record, { update: !keep })) continue;
    damaged.push(`${recordName(record)} (${record.key.slice(0, 12)})`);
    if (!keep) store.outputs.removeRecord(record);
  }
  const sources = readdirSync(store.paths.sources).filter((name) => /^[0-9a-f]{64}$/.test(name)) as Digest[];
  for (const sha256 of sources) {
    if (store.sources.isSound(sha256)) continue;
    damaged.push(`source ${sha256}`);
    if (!keep) store.sources.remove(sha256);
  }
  if (!keep) (await store.outputs.strays()).forEach(removeTree);
  return { outputs: records.length, sources: sources.length, damaged };
}
