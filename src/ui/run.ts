/**
 * What is known about a run from the events so far: the one place where events become state. Views read it and never
 * change it. Events of unknown keys change nothing. Another plan begins another run, which alone is known from then on.
 */
import type { Fault } from "../fault/fault.ts";
import type { EventBody, ForgeEvent, PlanNode } from "../forge/events.ts";
import type { Key } from "../recipe/derivation.ts";
import { Rate } from "./rate.ts";

export type EventOf<T extends EventBody["type"]> = Extract<ForgeEvent, { type: T }>;

/**
 * - `reused`: in the store before this run, or done without having started here (another forge made it)
 * - `pending`: not started; `waiting` may say for what
 * - `skipped`: not tried, because something that it needs failed
 */
export type Status = "reused" | "pending" | "running" | "done" | "failed" | "skipped";

export interface PhaseSpan {
  readonly phase: string;
  /** Milliseconds since the forge started. */
  readonly from: number;
}

export interface Failure {
  readonly fault: Fault;
  readonly tail: readonly string[];
}

/** Times are milliseconds since the forge started. */
export interface NodeRun {
  readonly node: PlanNode;
  status: Status;
  waiting: EventOf<"waiting"> | undefined;
  log: string | undefined;
  start: number | undefined;
  end: number | undefined;
  /** Where the node is now; the last one when it has ended. */
  phase: string | undefined;
  phases: PhaseSpan[];
  /** The last line of output, as it came. */
  line: string | undefined;
  /** Of a download that is going on, in bytes. */
  loaded: number | undefined;
  total: number | undefined;
  readonly rate: Rate;
  retries: EventOf<"retry">[];
  proofs: EventOf<"proof">[];
  result: EventOf<"done"> | undefined;
  failure: Failure | undefined;
  because: Key | undefined;
}

export class Run {
  readonly nodes = new Map<Key, NodeRun>();
  readonly notices: EventOf<"notice">[] = [];
  plan: EventOf<"plan"> | undefined;
  end: EventOf<"end"> | undefined;
  /** Time of the last event. */
  t = 0;

  /** Takes in an event and returns the node that it is about, if it is about a known one. */
  apply(event: ForgeEvent): NodeRun | undefined {
    this.t = Math.max(this.t, event.t);
    switch (event.type) {
      case "plan":
        this.#begin(event);
        return undefined;
      case "notice":
        this.notices.push(event);
        return undefined;
      case "end":
        this.end = event;
        if (event.ok) for (const node of this.having("pending")) node.status = "reused";
        return undefined;
      default: {
        const run = this.nodes.get(event.key);
        if (run === undefined) return undefined;
        applyToNode(run, event);
        if (event.type === "start") this.#haveNeeds(run);
        return run;
      }
    }
  }

  #begin(plan: EventOf<"plan">): void {
    if (this.plan !== undefined) this.notices.length = 0;
    this.nodes.clear();
    for (const node of plan.nodes) this.nodes.set(node.key, fresh(node));
    this.plan = plan;
    this.end = undefined;
    this.t = plan.t;
  }

  /** A node that starts has all that it needs: what did not start here was made by another forge. */
  #haveNeeds({ node }: NodeRun): void {
    for (const key of node.needs) {
      const need = this.nodes.get(key);
      if (need?.status === "pending") need.status = "reused";
    }
  }

  /** Nodes in the order of the plan with one of these states. */
  having(...states: readonly Status[]): NodeRun[] {
    return [...this.nodes.values()].filter((run) => states.includes(run.status));
  }

  /** What still has to be made before `run` can start, those that are being made first. */
  blockers(run: NodeRun): NodeRun[] {
    const open = run.node.needs
      .map((key) => this.nodes.get(key))
      .filter((need) => need !== undefined)
      .filter((need) => need.status === "pending" || need.status === "running");
    return [...open.filter((need) => need.status === "running"), ...open.filter((need) => need.status === "pending")];
  }

  /** How many nodes were to be made when the run began. */
  get todo(): number {
    return [...this.nodes.values()].filter(({ node }) => !node.present).length;
  }

  /** How many of those are in the store now, whoever made them. */
  get made(): number {
    return [...this.nodes.values()].filter(
      ({ node, status }) => !node.present && (status === "done" || status === "reused"),
    ).length;
  }
}

/** The name under which a reader sees a node. A fetch and a step may have the same name, so the kind stands before it. */
export function label(node: PlanNode): string {
  return node.kind === "step" ? node.name : `${node.kind} ${node.name}`;
}

/** Name and version, the version only where there is one. */
export function title(node: PlanNode): string {
  return node.version === "" ? label(node) : `${label(node)} ${node.version}`;
}

function fresh(node: PlanNode): NodeRun {
  return {
    node,
    status: node.present ? "reused" : "pending",
    waiting: undefined,
    log: undefined,
    start: undefined,
    end: undefined,
    phase: undefined,
    phases: [],
    line: undefined,
    loaded: undefined,
    total: undefined,
    rate: new Rate(),
    retries: [],
    proofs: [],
    result: undefined,
    failure: undefined,
    because: undefined,
  };
}

function applyToNode(run: NodeRun, event: Extract<ForgeEvent, { key: Key }>): void {
  switch (event.type) {
    case "waiting":
      run.waiting = event;
      return;
    case "start":
      run.status = "running";
      run.waiting = undefined;
      run.start = event.t;
      run.log = event.log;
      return;
    case "progress":
      run.loaded = event.bytes;
      run.total = event.total;
      run.rate.add(event.t, event.bytes);
      return;
    case "retry":
      run.retries.push(event);
      run.rate.reset();
      return;
    case "phase":
      run.waiting = undefined;
      run.loaded = undefined;
      run.total = undefined;
      run.phase = event.phase;
      run.phases.push({ phase: event.phase, from: event.t });
      return;
    case "output":
      run.line = event.line;
      return;
    case "proof":
      run.proofs.push(event);
      return;
    case "done":
      run.status = run.start === undefined ? "reused" : "done";
      run.end = event.t;
      run.result = event;
      return;
    case "failed":
      run.status = "failed";
      run.end = event.t;
      run.failure = { fault: event.fault, tail: event.tail };
      return;
    case "skipped":
      run.status = "skipped";
      run.because = event.because;
      return;
  }
}
