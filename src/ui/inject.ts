/** How the injection of an ingot is shown: one row on a terminal, else a line per thing that happens, or JSON. */
import { printableJson, printableLine } from "../fault/printable.ts";
import type { InjectEvent } from "../inject/events.ts";
import { systemClock } from "./clock.ts";
import { hasLiveRows, type ViewOptions } from "./open.ts";
import { Rate } from "./rate.ts";
import { paintedLine, Screen } from "./screen.ts";
import { count, duration, elapsed, size } from "./units.ts";
import { clean, truncate } from "./width.ts";

export interface InjectView {
  (event: InjectEvent): void;
  close(): void;
}

const INTERVAL = 100;

export function injectView({ json, plain, stream, env, clock = systemClock }: ViewOptions): InjectView {
  const write = (text: string): void => void stream.write(text);
  if (json) return withClose((event) => write(`${printableJson({ ...event, t: Math.round(event.t) })}\n`));
  const story = new Story();
  if (!hasLiveRows({ plain, stream, env }))
    return withClose((event) => story.tell(event).forEach((line) => write(`${line}\n`)));
  const screen = new Screen(stream);
  let origin = clock.now();
  const draw = (lasting: readonly string[]): void => {
    const row = story.row(clock.now() - origin);
    const cut = row === undefined ? undefined : truncate(row, screen.columns - 1);
    screen.draw(lasting, cut === undefined ? [] : [paintedLine(cut, cut)]);
  };
  const stop = clock.every(INTERVAL, () => draw([]));
  return withClose(
    (event) => {
      origin = clock.now() - event.t;
      const lines = story.tell(event);
      if (lines.length > 0) draw(lines);
    },
    () => {
      stop();
      story.end();
      draw([]);
    },
  );
}

function withClose(listen: (event: InjectEvent) => void, close = (): void => undefined): InjectView {
  return Object.assign(listen, { close });
}

/** What is said of an injection; the same on a terminal and elsewhere. */
class Story {
  #phase: { readonly name: string; readonly from: number } | undefined;
  #label = "";
  #loaded: number | undefined;
  /** Bytes that were there before this attempt. */
  #before = 0;
  #total = 0;
  readonly #rate = new Rate();

  /** Takes in an event and returns the lines that it leaves. Names in it are the Monolith's and the ingot's. */
  tell(event: InjectEvent): string[] {
    return this.#tell(event).map(printableLine);
  }

  #tell(event: InjectEvent): string[] {
    switch (event.type) {
      case "connect":
        this.#phase = { name: `connect to ${event.to}`, from: event.t };
        return [];
      case "system":
        return [`system ${event.system}, pool ${event.pool}${event.kept ? "" : ": in memory, gone after a restart"}`];
      case "ingot":
        this.#label = `${event.name} ${event.version}`;
        this.#phase = { name: "offer", from: event.t };
        return [
          `ingot ${this.#label}, key ${event.key.slice(0, 12)}, ${count(event.files, "file")}, ${size(event.bytes)}`,
        ];
      case "phase":
        return this.#begin(event.phase, event.t);
      case "progress":
        if (this.#loaded === undefined) this.#before = event.bytes;
        this.#loaded = event.bytes;
        this.#total = event.total;
        this.#rate.add(event.t, event.bytes);
        return [];
      case "injected":
        return [...this.#finish(event.t), ...this.#summary(event)];
    }
  }

  /** The row that is redrawn. */
  row(now: number): string | undefined {
    if (this.#phase === undefined) return undefined;
    const { name, from } = this.#phase;
    const parts = [name, elapsed((now - from) / 1000)];
    if (this.#loaded !== undefined) parts.push(`${size(this.#loaded)} of ${size(this.#total)}`);
    const rate = this.#loaded === undefined ? undefined : this.#rate.perSecond(now);
    if (rate !== undefined) parts.push(`${size(rate)}/s`);
    return printableLine(`  ${parts.join("  ")}`);
  }

  end(): void {
    this.#phase = undefined;
  }

  #begin(name: string, t: number): string[] {
    const lines = this.#finish(t);
    this.#phase = { name: clean(name), from: t };
    return lines;
  }

  #finish(t: number): string[] {
    if (this.#phase === undefined || this.#phase.name === "offer") return [];
    const seconds = (t - this.#phase.from) / 1000;
    const loaded = this.#loaded === undefined ? undefined : this.#loaded - this.#before;
    this.#loaded = undefined;
    const bytes = loaded === undefined || seconds <= 0 ? "" : ` ${size(loaded)} at ${size(loaded / seconds)}/s`;
    return [`done ${this.#phase.name} ${duration(seconds)}${bytes}`];
  }

  #summary({ t, sent, facts }: Extract<InjectEvent, { type: "injected" }>): string[] {
    const was = facts["was"] ?? "";
    const before = was === "" || was === "none" ? "" : `, instead of ${was.slice(0, 12)}`;
    if (facts["state"] === "already-active") return [`nothing to do: ${this.#label} is active already`];
    return [`active ${this.#label}${before}, ${size(sent)} sent, in ${duration(t / 1000)}`];
  }
}
