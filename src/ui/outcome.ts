/** How a run went, in words: the same lines for the terminal and for plain output. */
import { renderFault } from "../fault/fault.ts";
import { label, type NodeRun, type Run } from "./run.ts";
import { count, duration } from "./units.ts";
import { clean } from "./width.ts";

/** Lines of a step's output that a failure repeats. */
const TAIL = 20;

/** The command that opens the sandbox of a step. Downloads and seeds run in none. */
export function shellCommand({ node }: NodeRun): string | undefined {
  return node.kind === "step" ? `anvil shell ${node.name}` : undefined;
}

/** Seconds that a node took, or has taken until it failed. */
export function secondsOf(run: NodeRun): number | undefined {
  if (run.result !== undefined) return run.result.seconds;
  return run.start === undefined || run.end === undefined ? undefined : (run.end - run.start) / 1000;
}

/** ` after 1m 07s`, or nothing where it is not known. */
export function afterHowLong(run: NodeRun): string {
  const seconds = secondsOf(run);
  return seconds === undefined ? "" : ` after ${duration(seconds)}`;
}

/**
 * Everything that a reader needs about a failed node: the fault, the last lines of its output, where all of it is, and
 * how to go and look.
 */
export function failureLines(run: NodeRun): string[] {
  if (run.failure === undefined) return [];
  const { fault, tail } = run.failure;
  const lines = renderFault(fault).split("\n").map(clean);
  if (tail.length > 0) {
    const shown = tail.slice(-TAIL);
    lines.push(`  last ${shown.length === 1 ? "line" : `${shown.length} lines`} of the log:`);
    lines.push(...shown.map((line) => `    | ${clean(line)}`));
  }
  if (fault.log === undefined && run.log !== undefined) lines.push(`  log:  ${run.log}`);
  const shell = shellCommand(run);
  if (shell !== undefined) lines.push(`  enter the sandbox: ${shell}`);
  return lines;
}

/** The last words of a run that came to its end, or was told to stop. */
export function summaryLines(run: Run): string[] {
  const { end } = run;
  if (end === undefined) return [];
  const time = duration(end.t / 1000);
  if (end.ok) {
    if (end.built === 0) return [`nothing to do: ${count(end.reused, "output")} in the store (${time})`];
    return [`made ${count(end.built, "output")}, reused ${end.reused}, in ${time}`];
  }
  if (end.failed === 0) return [stoppedLine(run)];
  const untried = run.having("skipped", "pending");
  return [
    `failed after ${time}: ${end.failed} failed, ${untried.length} not tried, ${end.built} made, ${end.reused} reused`,
    ...run.having("failed").flatMap(recallLines),
    ...(untried.length === 0 ? [] : [`  not tried: ${untried.map(({ node }) => label(node)).join(", ")}`]),
  ];
}

/** The last words of a run that was stopped. */
export function stoppedLine(run: Run): string {
  const running = run.having("running").map(({ node }) => label(node));
  const at = running.length === 0 ? "" : `, in the middle of ${running.join(", ")}`;
  return `stopped after ${duration(run.t / 1000)}: ${run.made} of ${run.todo} made${at}`;
}

/** A failure again, short: by now its block may have scrolled away. */
function recallLines(run: NodeRun): string[] {
  if (run.failure === undefined) return [];
  const { fault } = run.failure;
  const lines = [`  ${label(run.node)}: ${fault.code}  ${clean(fault.message)}`];
  const log = fault.log ?? run.log;
  if (log !== undefined) lines.push(`    log: ${log}`);
  const shell = shellCommand(run);
  if (shell !== undefined) lines.push(`    enter the sandbox: ${shell}`);
  return lines;
}
