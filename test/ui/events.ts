/** Small plans, events and a clock to drive the views with. */
import type { EventBody, ForgeEvent, PlanNode } from "../../src/forge/events.ts";
import type { Key } from "../../src/recipe/derivation.ts";
import type { Clock } from "../../src/ui/clock.ts";

export function key(name: string): Key {
  return name as Key;
}

export function at(t: number, body: EventBody): ForgeEvent {
  return { ...body, t };
}

/** A node whose key is its label: "fetch zfs" is a fetch, "zfs" a step. */
export function node(id: string, needs: readonly string[] = [], fields: Partial<PlanNode> = {}): PlanNode {
  const [kind, name] = id.includes(" ") ? (id.split(" ") as [PlanNode["kind"], string]) : (["step", id] as const);
  return {
    key: key(id),
    name,
    version: "1.0",
    kind,
    needs: needs.map(key),
    present: false,
    ...fields,
  };
}

export function plan(nodes: readonly PlanNode[], jobs = 2): ForgeEvent {
  return at(0, {
    type: "plan",
    channel: "debian",
    why: "it was asked for",
    jobs,
    nodes,
  });
}

export const start = (t: number, id: string, log?: string): ForgeEvent => at(t, { type: "start", key: key(id), log });
export const phase = (t: number, id: string, name: string): ForgeEvent =>
  at(t, { type: "phase", key: key(id), phase: name });
export const output = (t: number, id: string, line: string): ForgeEvent =>
  at(t, { type: "output", key: key(id), line });
export const progress = (t: number, id: string, bytes: number, total?: number): ForgeEvent =>
  at(t, { type: "progress", key: key(id), bytes, total });
export const done = (t: number, id: string, seconds: number, cpu?: number, bytes = 1000): ForgeEvent =>
  at(t, { type: "done", key: key(id), seconds, cpu, bytes });
export const skipped = (t: number, id: string, because: string): ForgeEvent =>
  at(t, { type: "skipped", key: key(id), because: key(because) });
export const notice = (t: number, text: string): ForgeEvent => at(t, { type: "notice", text });

/** A clock that stands still until it is told to go on. */
export class ManualClock implements Clock {
  #now: number;
  #timers: { readonly ms: number; next: number; readonly tick: () => void }[] = [];

  constructor(now = 0) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  every(ms: number, tick: () => void): () => void {
    const timer = { ms, next: this.#now + ms, tick };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  get timers(): number {
    return this.#timers.length;
  }

  /** Goes on to `time`, calling what is due on the way. */
  goTo(time: number): void {
    for (;;) {
      const due = this.#timers.filter(({ next }) => next <= time).sort((a, b) => a.next - b.next)[0];
      if (due === undefined) break;
      this.#now = due.next;
      due.next += due.ms;
      due.tick();
    }
    this.#now = time;
  }
}
