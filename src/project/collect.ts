import type { Evaluation } from "../forge/evaluate.ts";
import { usedBy } from "../forge/used-by.ts";
import { channelNames, loadChannel } from "../source/channel.ts";
import { findGarbage, findLeastRecent, removeAll } from "../store/garbage.ts";
import type { Used } from "../store/uses.ts";
import type { Project } from "./project.ts";

export interface Collected {
  /** What it was, in words. */
  readonly names: readonly string[];
  readonly bytes: number;
}

export interface CollectOptions {
  /** Finds it only. */
  readonly dryRun: boolean;
  /** Bytes that outputs and downloads may have afterwards; those that were not used for longest go. */
  readonly keep?: number | undefined;
}

/** Removes from the store what no plan of any channel uses, or what was not used for longest. Throws E_CACHE_IN_USE. */
export async function collect(project: Project, { dryRun, keep }: CollectOptions): Promise<Collected> {
  const { store } = project;
  const garbage =
    keep === undefined ? await findGarbage(store, await needed(project)) : await findLeastRecent(store, keep);
  const removed = dryRun ? garbage : await removeAll(garbage);
  return { names: removed.map(({ name }) => name), bytes: removed.reduce((sum, { bytes }) => sum + bytes, 0) };
}

/** What the plans of all channels need. */
async function needed(project: Project): Promise<Used> {
  const targets = await project.targets();
  const plans: Evaluation[] = [];
  for (const name of await channelNames(project.root)) {
    const channel = await loadChannel(project.root, name);
    plans.push(project.evaluate(targets.of(channel), channel));
  }
  return usedBy(...plans);
}
