/** What a test hands over to a process of its own: an evaluation, and where to realise it. */
import { readFileSync } from "node:fs";
import type { Evaluation, Node } from "../../src/forge/evaluate.ts";
import type { ForgeEvent } from "../../src/forge/events.ts";
import { realise, type Outcome } from "../../src/forge/forge.ts";
import type { Channel } from "../../src/recipe/channel.ts";
import type { Key } from "../../src/recipe/derivation.ts";
import { DiskStore } from "../../src/store/disk-store.ts";
import { cachePaths, realiseOptions, type RunOptions } from "./rig.ts";

export interface Job extends Pick<RunOptions, "jobs" | "keepGoing" | "mirrors"> {
  readonly cache: string;
  readonly project: string;
  readonly channel: Channel;
  readonly nodes: readonly Node[];
  readonly targets: readonly Key[];
}

/** The job in the file that the command line names. */
export function readJob(): Job {
  return JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as Job;
}

/** Throws what opening the store throws. */
export function carryOut(job: Job, signal: AbortSignal, on: (event: ForgeEvent) => void): Promise<Outcome> {
  const { channel, targets } = job;
  const nodes = new Map(job.nodes.map((node) => [node.key, node]));
  const evaluation: Evaluation = { channel, targets, nodes, pending: [] };
  const store = DiskStore.open(cachePaths(job.cache));
  return realise(evaluation, { ...realiseOptions(store, job.project, job), signal, on });
}
