/**
 * Realises an evaluation that a test hands over as a file and prints each event as a line of JSON. A process of its
 * own, for tests that kill it, starve it or take its rights away.
 */
import { readFileSync, writeSync } from "node:fs";
import { Fault, renderFault } from "../../src/fault/fault.ts";
import type { Evaluation, Node } from "../../src/forge/evaluate.ts";
import { realise } from "../../src/forge/forge.ts";
import type { Channel } from "../../src/recipe/channel.ts";
import type { Key } from "../../src/recipe/derivation.ts";
import { Store } from "../../src/store/store.ts";
import { cachePaths, realiseOptions, type RunOptions } from "./rig.ts";

export interface Job extends Pick<RunOptions, "jobs" | "keepGoing" | "mirrors"> {
  readonly cache: string;
  readonly project: string;
  readonly channel: Channel;
  readonly nodes: readonly Node[];
  readonly targets: readonly Key[];
}

const job = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as Job;
const evaluation: Evaluation = {
  channel: job.channel,
  nodes: new Map(job.nodes.map((node) => [node.key, node])),
  targets: job.targets,
};
const interrupt = new AbortController();
process.on("SIGTERM", () => interrupt.abort());
try {
  const store = Store.open(cachePaths(job.cache));
  const { ok } = await realise(evaluation, {
    ...realiseOptions(store, job.project, job),
    signal: interrupt.signal,
    on: (event) => writeSync(1, `${JSON.stringify(event)}\n`),
  });
  process.exitCode = ok ? 0 : 1;
} catch (error) {
  if (!(error instanceof Fault)) throw error;
  process.stderr.write(`${renderFault(error)}\n`);
  process.exitCode = 3;
}
