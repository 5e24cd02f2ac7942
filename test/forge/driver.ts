/**
 * Realises the job of a test and prints each event as a line of JSON. A process of its own, for tests that kill it,
 * starve it or take its rights away. Ends with 0, with 1 when something failed, with 3 when it could not begin.
 */
import { writeSync } from "node:fs";
import { Fault, renderFault } from "../../src/fault/fault.ts";
import { carryOut, readJob } from "./job.ts";

const interrupt = new AbortController();
process.on("SIGTERM", () => interrupt.abort());
try {
  const { ok } = await carryOut(readJob(), interrupt.signal, (event) => {
    writeSync(1, `${JSON.stringify(event)}\n`);
  });
  process.exitCode = ok ? 0 : 1;
} catch (error) {
  if (!(error instanceof Fault)) throw error;
  process.stderr.write(`${renderFault(error)}\n`);
  process.exitCode = 3;
}
