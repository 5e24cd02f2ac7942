/** Has a step built in another place. What it made is compared with the store, or brought here, proven and kept. */
import { Fault } from "../../fault/fault.ts";
import type { StepDerivation } from "../../recipe/derivation.ts";
import { differences, type Elsewhere, type Listing } from "../elsewhere.ts";
import { keepTail, StepFailure, StepOutput } from "../step.ts";
import type { Job, Maker } from "./maker.ts";
import { finishStep, startStep } from "./step.ts";

/** Entries that are named when an output differs from what the other place made of the same derivation. */
const DIFFERENCES_SHOWN = 20;

export function makeElsewhere(place: Elsewhere): Maker<StepDerivation> {
  return async (job) => {
    const { key } = job.node;
    const { store } = job.run;
    const { sandboxes, log } = await startStep(job);
    const listing = await buildIn(place, job, log);
    if (store.outputs.has(key)) {
      compare(place, job, listing);
      return { bytes: store.outputs.record(key)?.bytes ?? 0, isSound: false };
    }
    return finishStep(job, sandboxes, { place, fetch: (to) => place.fetch(job.derivation.name, listing, to) });
  };
}

/** What the step made there. Throws StepFailure when it failed there. */
async function buildIn(place: Elsewhere, job: Job<StepDerivation>, log: string): Promise<Listing> {
  const { key } = job.node;
  const { emit } = job.run;
  emit({ type: "phase", key, phase: `build in ${place.name}` });
  const { tail, onLine } = keepTail((line) => emit({ type: "output", key, line }));
  const output = new StepOutput(log, onLine);
  try {
    return await place.build(job.derivation.name, (bytes) => output.take(0, bytes));
  } catch (error) {
    if (error instanceof Fault && error.code === "E_STEP_FAILED") throw new StepFailure(error, tail);
    throw error;
  } finally {
    output.close();
  }
}

/** Throws E_OUTPUT_DIFFERS. */
function compare(place: Elsewhere, { node: { key }, derivation, run }: Job<StepDerivation>, listing: Listing): void {
  run.emit({ type: "phase", key, phase: "compare" });
  const differing = differences(run.store.outputs.path(key), listing);
  const { name, version } = derivation;
  if (differing.length > 0)
    throw new Fault("E_OUTPUT_DIFFERS", `${name} ${version} as ${place.name} built it is not what the store has`, {
      details: differing.slice(0, DIFFERENCES_SHOWN),
      hint: `${differing.length} entries differ; both were made by the same derivation, so one of the two builds is not reproducible`,
    });
  const proof = `the same as built in ${place.name}`;
  run.emit({ type: "proof", key, proof, ok: true, detail: `${listing.size} entries` });
}
