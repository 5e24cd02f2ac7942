/**
 * The live view of a run on a terminal. What is finished scrolls away above, one line each; below stand what is being
 * made, what waits for what, and a line with the whole. The picture depends on the events, the clock and the size of
 * the terminal alone.
 */
import type { ForgeEvent } from "../forge/events.ts";
import type { Clock } from "./clock.ts";
import { afterHowLong, failureLines, secondsOf, stoppedLine, summaryLines } from "./outcome.ts";
import { downloadLeft, remaining, type Profile } from "./profile.ts";
import { label, Run, title, type EventOf, type NodeRun } from "./run.ts";
import { paintedLine, Screen, type TerminalStream } from "./screen.ts";
import { fade, fit, paint, span, type Span, type Style } from "./style.ts";
import { count, duration, elapsed, estimate, size } from "./units.ts";
import type { View } from "./view.ts";
import { clean, columns, pad, truncate } from "./width.ts";

export interface TerminalOptions {
  readonly clock: Clock;
  readonly colour: boolean;
  /** False for terminals and locales that have only ASCII. */
  readonly unicode: boolean;
  /** What the last run took, for the estimate. */
  readonly profile: Profile;
}

/** Milliseconds between two drawings. */
const INTERVAL = 100;
/** Rows about what waits. */
const WAITING_ROWS = 4;
/** Columns of the longest usual phase, "unpack". */
const PHASE_WIDTH = 6;
/** Below this many columns a row has only its name and its time. */
const NARROW = 40;

type Row = readonly Span[];

interface Marks {
  readonly done: string;
  readonly failed: string;
  readonly running: string;
  readonly notice: string;
  readonly cut: string;
  readonly dot: string;
}

const UNICODE: Marks = {
  done: "✓",
  failed: "✗",
  running: "▸",
  notice: "!",
  cut: "…",
  dot: " · ",
};
const ASCII: Marks = {
  done: "+",
  failed: "x",
  running: ">",
  notice: "!",
  cut: "~",
  dot: ", ",
};

export function terminalView(stream: TerminalStream, options: TerminalOptions): View {
  const view = new Terminal(stream, options);
  return Object.assign(
    (event: ForgeEvent): void => {
      view.listen(event);
    },
    {
      close(): void {
        view.close();
      },
    },
  );
}

class Terminal {
  readonly #run = new Run();
  readonly #screen: Screen;
  readonly #options: TerminalOptions;
  readonly #marks: Marks;
  readonly #stopTicking: () => void;
  /** Lines that will stay, not yet printed. */
  #lasting: Row[] = [];
  /** The clock's value when the forge started. */
  #origin: number;
  #closed = false;

  constructor(stream: TerminalStream, options: TerminalOptions) {
    this.#screen = new Screen(stream);
    this.#options = options;
    this.#marks = options.unicode ? UNICODE : ASCII;
    this.#origin = options.clock.now();
    this.#stopTicking = options.clock.every(INTERVAL, () => {
      this.#draw();
    });
  }

  listen(event: ForgeEvent): void {
    if (this.#closed) return;
    this.#origin = this.#options.clock.now() - event.t;
    const node = this.#run.apply(event);
    this.#lasting.push(...this.#lastingRows(event, node));
    if (event.type === "end") this.#draw();
  }

  close(): void {
    if (this.#closed) return;
    if (this.#run.plan !== undefined && this.#run.end === undefined) {
      this.#lasting.push([span(stoppedLine(this.#run), "warn")]);
    }
    this.#closed = true;
    this.#stopTicking();
    this.#draw();
  }

  #draw(): void {
    const width = this.#screen.columns - 1;
    const { colour } = this.#options;
    const live = this.#closed ? [] : this.#liveRows(width, this.#screen.rows - 1);
    const lines = live
      .map((row) => fit(row, width, this.#marks.cut))
      .map((row) => paintedLine(paint(row, colour), row.map(({ text }) => text).join("")));
    this.#screen.draw(
      this.#lasting.map((row) => paint(row, colour)),
      lines,
    );
    this.#lasting = [];
  }

  /** What an event leaves behind on the screen. */
  #lastingRows(event: ForgeEvent, node: NodeRun | undefined): Row[] {
    switch (event.type) {
      case "plan":
        return this.#planRows(event);
      case "notice":
        return [this.#noticeRow(event.text)];
      case "end":
        return summaryLines(this.#run).map((line, index) => [span(line, this.#summaryStyle(event, index))]);
      case "retry":
        return node === undefined ? [] : [this.#noticeRow(`${label(node.node)}: ${event.url}: ${event.why}`)];
      case "done":
        return node?.status === "done" ? [this.#settle(this.#doneRow(node))] : [];
      case "failed":
        return node === undefined ? [] : this.#failureRows(node);
      default:
        return [];
    }
  }

  #planRows({ channel, why }: EventOf<"plan">): Row[] {
    const { todo, nodes } = this.#run;
    return [
      [span(`channel ${channel}: `), span(clean(why))],
      [span(`${todo} to make, ${nodes.size - todo} in the store`, "dim")],
    ];
  }

  #noticeRow(text: string): Row {
    return this.#settle([span(`${this.#marks.notice} `, "warn"), span(clean(text))]);
  }

  #doneRow(node: NodeRun): Row {
    const seconds = secondsOf(node);
    return [
      span(`${this.#marks.done} `, "good"),
      span(title(node.node)),
      ...(seconds === undefined ? [] : [span(`  ${duration(seconds)}`, "dim")]),
    ];
  }

  #failureRows(node: NodeRun): Row[] {
    const [fault = "", ...rest] = failureLines(node);
    return [
      [],
      [span(`${this.#marks.failed} ${title(node.node)} failed${afterHowLong(node)}`, "bad")],
      [span(`  ${fault}`, "bold")],
      ...rest.map((line): Row => [span(`  ${line}`)]),
      [],
    ];
  }

  #summaryStyle({ ok, failed }: EventOf<"end">, index: number): Style {
    if (index > 0) return "plain";
    if (ok) return "good";
    return failed > 0 ? "bad" : "warn";
  }

  /** The rows that are redrawn, at most `height`: the whole, failures, then what there is room for. */
  #liveRows(width: number, height: number): Row[] {
    if (this.#run.plan === undefined || this.#run.end !== undefined) return [];
    const footer = this.#footerRow();
    const failed = this.#run.having("failed").map((node) => this.#failedRow(node));
    const room = Math.max(0, height - 1);
    const pinned = within(failed, Math.min(room, 3), (left) => this.#moreRow(left, "failed"));
    const running = this.#runningRows(width, room - pinned.length);
    const waiting = this.#waitingRows(Math.min(WAITING_ROWS + 1, room - pinned.length - running.length));
    return [...pinned, ...[...running, ...waiting].map((row) => this.#settle(row)), footer];
  }

  /** Once something has failed, everything else steps back. */
  #settle(row: Row): Row {
    return this.#unwinding ? fade(row) : row;
  }

  get #unwinding(): boolean {
    return this.#run.having("failed").length > 0;
  }

  #failedRow({ node, failure }: NodeRun): Row {
    const fault = failure === undefined ? "" : `  ${failure.fault.code}  ${clean(failure.fault.message)}`;
    return [span(`${this.#marks.failed} ${label(node)} failed`, "bad"), span(fault)];
  }

  #moreRow(left: number, what: string): Row {
    return [span(`  ${this.#options.unicode ? "…" : "..."} ${left} more ${what}`, "dim")];
  }

  #runningRows(width: number, height: number): Row[] {
    const running = this.#run.having("running");
    const names = columnWidth(
      running.map(({ node }) => label(node)),
      Math.floor(width / 3),
    );
    const rows = running.map((node) => this.#runningRow(node, width, names));
    return within(rows, height, (left) => this.#moreRow(left, "running"));
  }

  #runningRow(node: NodeRun, width: number, names: number): Row {
    const name = truncate(label(node.node), names, this.#marks.cut);
    const time = elapsed(this.#seconds(node.start));
    const row = [span(`${this.#marks.running} `, "good"), span(pad(name, names)), span(`  ${pad(time, 6)}`, "dim")];
    if (width < NARROW) return row;
    row.push(span(`  ${pad(this.#detail(node), PHASE_WIDTH)}`));
    // while things unwind the eye has no use for the chatter of the others
    if (node.line !== undefined && !this.#unwinding) row.push(span(`  ${clean(node.line)}`, "dim"));
    return row;
  }

  /** The phase, what a node that has started still waits for, or how far a download is. */
  #detail(node: NodeRun): string {
    if (node.waiting !== undefined) return waitingText(node.waiting);
    if (node.loaded === undefined) return node.phase ?? "";
    const { loaded, total, rate } = node;
    const parts = [total === undefined ? size(loaded) : `${size(loaded)} of ${size(total)}`];
    const speed = rate.perSecond(this.#now);
    if (speed !== undefined) parts.push(`${size(speed)}/s`);
    const left = downloadLeft(node, this.#now);
    if (left !== undefined) parts.push(`${estimate(left)} left`);
    return parts.join("  ");
  }

  /** What waits, the most telling first, then how many more there are. */
  #waitingRows(height: number): Row[] {
    const pending = this.#run.having("pending");
    const reasons = this.#waitingReasons(pending);
    const room = reasons.length < pending.length || reasons.length > WAITING_ROWS ? height - 1 : height;
    const shown = reasons.slice(0, Math.max(0, Math.min(WAITING_ROWS, room)));
    const names = columnWidth(
      shown.map(({ name }) => name),
      Infinity,
    );
    const rows = shown.map(({ name, reason }): Row => [span(`  ${pad(name, names)}  ${reason}`, "dim")]);
    const left = pending.length - shown.length;
    return left > 0 && height > 0 ? [...rows, this.#moreRow(left, left === 1 ? "waits" : "wait")] : rows;
  }

  /** What waits for another forge or the disk; then what will be next, when something now running is made; then what only lacks a core. */
  #waitingReasons(pending: readonly NodeRun[]): { readonly name: string; readonly reason: string }[] {
    const told = (own: boolean): { name: string; reason: string }[] =>
      pending.flatMap(({ node, waiting }) =>
        waiting !== undefined && (waiting.on === "token") === own
          ? [{ name: label(node), reason: waitingText(waiting) }]
          : [],
      );
    const next = pending.flatMap((node) => {
      const blockers = node.waiting === undefined ? this.#run.blockers(node) : [];
      const soon = blockers.some(({ status }) => status === "running");
      return soon ? [{ name: label(node.node), reason: `waits for ${listed(blockers)}` }] : [];
    });
    return [...told(false), ...next, ...told(true)];
  }

  #footerRow(): Row {
    const { plan, made, todo } = this.#run;
    const reused = this.#run.having("reused").length;
    const failed = this.#run.having("failed").length;
    const parts = [
      span(`${made}/${todo} made`, "bold"),
      ...(failed > 0 ? [span(`${failed} failed`, "bad")] : []),
      span(elapsed(this.#now / 1000)),
      ...this.#etaSpans(),
      ...(reused > 0 ? [span(`${reused} reused`, "dim")] : []),
      span(count(plan?.jobs ?? 1, "job"), "dim"),
    ];
    return parts.flatMap((part, index) => (index === 0 ? [part] : [span(this.#marks.dot, "dim"), part]));
  }

  #etaSpans(): Span[] {
    const left = remaining(this.#run, this.#options.profile, this.#now);
    if (left === undefined || left.seconds < 1) return [];
    return [span(`${left.unknown > 0 ? "at least" : "about"} ${estimate(left.seconds)} left`)];
  }

  /** Milliseconds since the forge started. */
  get #now(): number {
    return Math.max(this.#run.t, this.#options.clock.now() - this.#origin);
  }

  #seconds(since: number | undefined): number {
    return since === undefined ? 0 : (this.#now - since) / 1000;
  }
}

function waitingText({ on, detail }: EventOf<"waiting">): string {
  switch (on) {
    case "token":
      return "waits for a free core";
    case "lock":
      return `waits for another forge: ${clean(detail)}`;
    case "disk":
      return `waits for disk space: ${clean(detail)}`;
  }
}

/** `a`, `a, b`, `a, b and 3 more`. */
function listed(nodes: readonly NodeRun[]): string {
  const names = nodes.slice(0, 2).map(({ node }) => label(node));
  return names.join(", ") + (nodes.length > 2 ? ` and ${nodes.length - 2} more` : "");
}

/** All rows, or as many as fit with a last one that says how many there are beside. */
function within(rows: readonly Row[], height: number, more: (left: number) => Row): Row[] {
  if (rows.length <= height) return [...rows];
  if (height <= 0) return [];
  const shown = rows.slice(0, height - 1);
  return [...shown, more(rows.length - shown.length)];
}

function columnWidth(texts: readonly string[], most: number): number {
  return Math.min(most, Math.max(0, ...texts.map(columns)));
}
