/** Runs a step in the sandbox, proves its output and keeps it. */
import { closeSync, rmSync } from "node:fs";
import path from "node:path";
import type { StepDerivation } from "../../recipe/derivation.ts";
import { describeProof } from "../../recipe/proof.ts";
import { defaultLimits } from "../../sandbox/limits.ts";
import { checkSource } from "../check-source.ts";
import { seedFor } from "../evaluate.ts";
import type { OpenSandboxes } from "../sandboxes.ts";
import { logFile, runStep } from "../step.ts";
import { keep, type Finished, type Job, type Made, type Maker } from "./maker.ts";

export const makeStep: Maker<StepDerivation> = async (job) => {
  const { sandboxes } = await startStep(job);
  await checkSources(job, sandboxes);
  return finishStep(job, sandboxes);
};

async function checkSources(
  { node: { key }, derivation: { sources }, run: { store, emit } }: Job<StepDerivation>,
  { bubblewrap, user }: OpenSandboxes,
): Promise<void> {
  if (sources.length === 0) return;
  emit({ type: "phase", key, phase: "check sources" });
  for (const { at, sha256 } of sources) await checkSource(store, sha256, path.basename(at), bubblewrap, user);
}

/** Opens the sandboxes and begins a new log. */
export async function startStep(
  job: Job<StepDerivation>,
): Promise<{ readonly sandboxes: OpenSandboxes; readonly log: string }> {
  const { node, derivation, run } = job;
  const sandboxes = await run.sandboxes.open(seedFor(run.evaluation, node));
  const log = logFile(run.store, node.key, derivation.name);
  // a new file: others could read one of an earlier version
  rmSync(log, { force: true });
  run.emit({ type: "start", key: node.key, log });
  return { sandboxes, log };
}

/** A step that was built in another place. */
export interface Foreign {
  readonly place: NonNullable<Finished["place"]>;
  /** Brings its output into an empty folder. */
  readonly fetch: (to: string) => Promise<void>;
}

/** Runs the script, or fetches what it made elsewhere; proves that and keeps it. */
export async function finishStep(
  job: Job<StepDerivation>,
  { bubblewrap, user, jobserver }: OpenSandboxes,
  foreign?: Foreign,
): Promise<Made> {
  const { node, derivation: step, run } = job;
  const { key } = node;
  const { store, project, signal, emit, waste } = run;
  const fd = jobserver.openForStep();
  const { tree, work, cpu, proofs } = await runStep(key, step, {
    store,
    project,
    bubblewrap,
    user,
    limits: run.limits ?? defaultLimits(),
    jobserver: { fd, makeflags: jobserver.makeflags(), jobs: jobserver.jobs },
    signal,
    discard: (folder) => waste.discard(folder),
    onPhase: (phase) => emit({ type: "phase", key, phase }),
    onLine: (line) => emit({ type: "output", key, line }),
    onProof: ({ proof, ok, detail }) => emit({ type: "proof", key, proof: describeProof(proof), ok, detail }),
    ...(foreign === undefined ? {} : { fetch: foreign.fetch }),
  }).finally(() => closeSync(fd));
  emit({ type: "phase", key, phase: "store" });
  return keep(job, {
    tree,
    proofs: proofs.map(({ proof, detail }) => ({ proof: describeProof(proof), detail })),
    place: foreign?.place,
    cpu,
  }).finally(() => waste.discard(work));
}
