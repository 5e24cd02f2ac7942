import type { Digest, Key } from "../recipe/derivation.ts";
import { channelNames, loadChannel } from "../source/channel.ts";
import { findGarbage, type Needed } from "../store/garbage.ts";
import type { Project } from "./project.ts";

export interface Collected {
  /** What it was, in words. */
  readonly names: readonly string[];
  readonly bytes: number;
}

/** Removes from the store what no plan of any channel uses, or with `dryRun` finds it only. */
export async function collect(project: Project, { dryRun }: { readonly dryRun: boolean }): Promise<Collected> {
  const garbage = await findGarbage(project.store, await needed(project));
  if (!dryRun) for (const each of garbage) await each.remove();
  return { names: garbage.map(({ name }) => name), bytes: garbage.reduce((sum, { bytes }) => sum + bytes, 0) };
}

/** What the plans of all channels need. */
async function needed(project: Project): Promise<Needed> {
  const targets = await project.targets();
  const keys = new Set<Key>();
  const sources = new Set<Digest>();
  for (const name of await channelNames(project.root)) {
    const channel = await loadChannel(project.root, name);
    const { nodes } = project.evaluate(targets.of(channel), channel);
    for (const { key, derivation } of nodes.values()) {
      keys.add(key);
      if (derivation.kind === "fetch" && derivation.sha256 !== undefined) sources.add(derivation.sha256);
    }
  }
  return { keys, sources };
}
