/**
 * One line per thing that happens, for logs and other places that are not terminals. The first word says what it is,
 * names follow, so that `grep '^done '` works. Lines depend on the events alone.
 */
import { printableLine } from "../fault/printable.ts";
import type { ForgeEvent } from "../forge/events.ts";
import { afterHowLong, failureLines, stoppedLine, summaryLines } from "./outcome.ts";
import { label, Run, title, type EventOf, type NodeRun } from "./run.ts";
import { count, duration, size } from "./units.ts";
import type { View } from "./view.ts";
import { clean } from "./width.ts";

/** Milliseconds between two lines about one download. */
const DOWNLOAD_INTERVAL = 10_000;
/** A change of phase is worth a line when the phase before it took this many milliseconds. */
const LONG_PHASE = 10_000;
/** After this many milliseconds without a line, what is running is said: silent jobs get killed by some CI systems. */
const SILENCE = 60_000;

export function plainView(write: (text: string) => void): View {
  const run = new Run();
  const said = new Map<NodeRun, number>();
  let last = 0;

  const say = (...lines: readonly string[]): void => {
    if (lines.length === 0) return;
    last = run.t;
    write(lines.map((line) => `${printableLine(line)}\n`).join(""));
  };

  const listen = (event: ForgeEvent): void => {
    const node = run.apply(event);
    if (event.type === "progress" && node !== undefined) {
      const before = said.get(node) ?? node.start ?? event.t;
      if (event.t - before >= DOWNLOAD_INTERVAL) {
        said.set(node, event.t);
        say(downloadLine(node, event.t));
      }
    } else {
      say(...linesOf(run, node, event));
    }
    if (event.t - last >= SILENCE) say(...runningLine(run));
  };

  let closed = false;
  return Object.assign(listen, {
    close(): void {
      if (closed) return;
      closed = true;
      if (run.plan !== undefined && run.end === undefined) say(stoppedLine(run));
    },
  });
}

function linesOf(run: Run, node: NodeRun | undefined, event: ForgeEvent): string[] {
  switch (event.type) {
    case "plan":
      return planLines(run, event);
    case "notice":
      return [`notice ${clean(event.text)}`];
    case "end":
      return summaryLines(run).map((line, index) => (index === 0 ? `summary ${line}` : line));
    default:
      return node === undefined ? [] : nodeLines(run, node, event);
  }
}

function planLines(run: Run, { channel, why, jobs, nodes }: EventOf<"plan">): string[] {
  return [
    `channel ${channel}: ${clean(why)}`,
    `plan ${run.todo} to make, ${nodes.length - run.todo} in the store, ${count(jobs, "job")}`,
  ];
}

function nodeLines(run: Run, node: NodeRun, event: Exclude<ForgeEvent, { type: "plan" | "notice" | "end" }>): string[] {
  const name = label(node.node);
  switch (event.type) {
    case "start":
      return [`start ${title(node.node)}`];
    case "waiting":
      return event.on === "token" ? [] : [`wait ${name} for ${event.on}: ${clean(event.detail)}`];
    case "phase":
      return phaseLines(node);
    case "retry":
      return [`retry ${name} ${clean(event.url)}: ${clean(event.why)}`];
    case "proof":
      return event.ok ? [] : [`unproven ${name} ${clean(event.proof)}: ${clean(event.detail)}`];
    case "done":
      return node.status === "done" ? [`done ${title(node.node)} ${duration(event.seconds)} ${size(event.bytes)}`] : [];
    case "failed":
      return [`failed ${title(node.node)}${afterHowLong(node)}`, ...failureLines(node).map((line) => `  ${line}`)];
    case "skipped":
      return [`skipped ${title(node.node)} because ${reasonOf(run, node)}`];
    case "progress":
    case "output":
      return [];
  }
}

function reasonOf(run: Run, { because }: NodeRun): string {
  const cause = because === undefined ? undefined : run.nodes.get(because);
  if (cause === undefined) return "something that it needs is missing";
  return `${label(cause.node)} ${cause.status === "failed" ? "failed" : "was not made"}`;
}

/** A line when the phase that has just ended was a long one. */
function phaseLines(node: NodeRun): string[] {
  const [before, now] = node.phases.slice(-2);
  if (before === undefined || now === undefined || now.from - before.from < LONG_PHASE) return [];
  return [
    `phase ${label(node.node)} ${now.phase} after ${duration((now.from - before.from) / 1000)} of ${before.phase}`,
  ];
}

function downloadLine({ node, loaded, total, rate }: NodeRun, now: number): string {
  const bytes = loaded ?? 0;
  const part =
    total === undefined || total === 0 ? size(bytes) : `${Math.floor((100 * bytes) / total)}% of ${size(total)}`;
  const speed = rate.perSecond(now);
  return `progress ${label(node)} ${part}${speed === undefined ? "" : ` at ${size(speed)}/s`}`;
}

function runningLine(run: Run): string[] {
  const running = run.having("running");
  if (running.length === 0) return [];
  const items = running.map(({ node, start, phase }) => {
    const time = duration((run.t - (start ?? run.t)) / 1000);
    return phase === undefined ? `${label(node)} ${time}` : `${label(node)} ${phase} ${time}`;
  });
  return [`running ${items.join(", ")}`];
}
