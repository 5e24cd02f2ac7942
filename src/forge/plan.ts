/**
 * Plans that depend on what a source holds: the crates of a Rust program stand in its own lock file, so what is to be fetched
 * is known only once that source was unpacked. The part that is known is made first, then the plan is evaluated again.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";
import type { Store } from "../store/store.ts";
import type { Evaluation, ReadOutput } from "./evaluate.ts";

/** Reads files of outputs in a store, for `evaluate`. */
export function outputReader(store: Store): ReadOutput {
  return (key, file) => {
    if (!store.outputs.has(key)) return undefined;
    try {
      return readFileSync(path.join(store.outputs.path(key), file), "utf8");
    } catch (cause) {
      throw new Fault(
        "E_CARGO_LOCK",
        `${store.outputs.record(key)?.name ?? "an output"} has no ${file}: ${errno(cause) ?? ""}`,
        {
          hint: "the crates that a source is built with are those of its own lock file",
          cause,
        },
      );
    }
  };
}

/**
 * The plan with nothing left to be found out, or undefined when what it is found out from could not be made.
 *
 * @param known the plan as far as it is known
 * @param evaluate makes it anew
 * @param make realises a plan's targets; false when that failed, which has been told then
 */
export async function wholePlan(
  known: Evaluation,
  evaluate: () => Evaluation,
  make: (plan: Evaluation) => Promise<boolean>,
): Promise<Evaluation | undefined> {
  let plan = known;
  while (plan.pending.length > 0) {
    if (!(await make({ ...plan, targets: plan.pending }))) return undefined;
    plan = evaluate();
  }
  return plan;
}
