/** A Gantt chart of a run as HTML boxes, placed in shares of the whole time. */
import { markup, type Markup } from "./markup.ts";
import { label, title, type NodeRun, type Run } from "./run.ts";
import { duration } from "./units.ts";

/** A node that started, with its times in milliseconds since the forge started. */
export interface Bar {
  readonly run: NodeRun;
  readonly start: number;
  readonly end: number;
}

/** In the order in which they started. */
export function barsOf(run: Run): Bar[] {
  return [...run.nodes.values()]
    .flatMap((node) => (node.start === undefined ? [] : [{ run: node, start: node.start, end: node.end ?? run.t }]))
    .sort((a, b) => a.start - b.start);
}

/** The chart, one row per bar. `total` is the length of the run in milliseconds. */
export function timeline(bars: readonly Bar[], total: number, critical: ReadonlySet<NodeRun>): Markup {
  const whole = Math.max(1, total);
  return markup`<p class="legend">${LEGEND}</p>
<div class="chart">
<div class="row axis"><span class="name"></span><span class="track">${ticks(whole)}</span></div>
${bars.map((bar) => row(bar, whole, critical.has(bar.run)))}</div>`;
}

const LEGEND = [
  ["fetch", "download"],
  ["build", "build"],
  ["prove", "prove"],
  ["other", "other phases"],
  ["failed", "failed"],
  ["critical", "critical path"],
].map(([kind, meaning]) => markup`<span class="item"><span class="key ${kind}"></span> ${meaning}</span> `);

function row(bar: Bar, whole: number, critical: boolean): Markup {
  const { run, start, end } = bar;
  const took = duration((end - start) / 1000);
  const kind = critical ? "bar critical" : "bar";
  return markup`<div class="row" title="${title(run.node)}: ${took} from ${duration(start / 1000)}">
<span class="name">${label(run.node)}</span>
<span class="track">
<span class="${kind}" style="${place(start, end, whole)}">${segments(bar)}</span>
<span class="time" style="left:${percent(end, whole)}">${took}</span>
</span>
</div>
`;
}

/** The phases of a bar, as shares of it; of a failed node one piece, which is seen however soon it failed. */
function segments({ run, start, end }: Bar): Markup[] {
  if (run.status === "failed") return [segment("failed", 0, 1, 1)];
  const length = Math.max(1, end - start);
  const phases = run.phases.length === 0 ? [{ phase: run.node.kind, from: start }] : run.phases;
  return phases.map(({ phase, from }, index) =>
    segment(kindOf(run, phase), from - start, (phases[index + 1]?.from ?? end) - start, length),
  );
}

function segment(kind: string, from: number, until: number, whole: number): Markup {
  return markup`<span class="${kind}" style="${place(from, until, whole)}"></span>`;
}

function kindOf({ node }: NodeRun, phase: string): string {
  if (node.kind === "fetch") return "fetch";
  return phase === "build" || phase === "prove" ? phase : "other";
}

/** Round times along the axis, at most nine. */
function ticks(whole: number): Markup[] {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];
  const step = 1000 * (steps.find((seconds) => whole / (1000 * seconds) <= 8) ?? Math.ceil(whole / 8000));
  const times = Array.from({ length: Math.floor(whole / step) + 1 }, (_, index) => index * step);
  return times.map(
    (time) => markup`<span class="tick" style="left:${percent(time, whole)}">${axisTime(time / 1000)}</span>`,
  );
}

/** `0`, `30s`, `5m`, `1h 30m`. */
function axisTime(seconds: number): string {
  if (seconds === 0) return "0";
  if (seconds < 60) return `${seconds}s`;
  return duration(seconds).replace(" 00s", "").replace(" 00m", "");
}

function place(from: number, until: number, whole: number): string {
  return `left:${percent(from, whole)};width:${percent(until - from, whole)}`;
}

function percent(part: number, whole: number): string {
  return `${((100 * Math.min(Math.max(part, 0), whole)) / whole).toFixed(3)}%`;
}
