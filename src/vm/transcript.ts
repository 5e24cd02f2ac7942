/** Text that a guest writes, as lines, with waits for what has not come yet. */
import { StringDecoder } from "node:string_decoder";
import { Fault } from "../fault/fault.ts";

/** A place in a transcript: a line's number since the beginning and a column in it. */
export interface Mark {
  readonly line: number;
  readonly column: number;
}

export interface WaitOptions {
  readonly timeoutMs?: number;
  /** Only text after this mark counts. Default: everything since the beginning. */
  readonly after?: Mark;
  /** What the fault calls the awaited text. Default: the pattern and where it was awaited. */
  readonly awaited?: string;
}

/** What a wait says when it fails. */
export interface TranscriptContext {
  /** "the serial port of monolith". */
  readonly label: string;
  /** Factor on every time limit: an emulated processor is slower. */
  readonly timeScale: number;
  /** Lines that help to see what happened. */
  readonly evidence: () => readonly string[];
  readonly log: string | undefined;
}

interface Waiter {
  readonly pattern: RegExp;
  from: Mark;
  readonly resolve: (match: RegExpExecArray) => void;
  readonly reject: (fault: Fault) => void;
}

/** Limit of a wait that names none, before `timeScale`. */
export const DEFAULT_TIMEOUT_MS = 60_000;
const RETAINED_CHARACTERS = 8 << 20;
const LONGEST_LINE = 64 << 10;
/** CSI and two-byte escape sequences of ECMA-48, which firmware writes for colours and cursor moves. */
const ESCAPES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_=>])/g;
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f]/g;

export class Transcript {
  readonly #context: TranscriptContext;
  readonly #decoder = new StringDecoder("utf8");
  readonly #waiters = new Set<Waiter>();
  #lines: string[] = [];
  #first = 0;
  #retained = 0;
  #open = "";
  #ended: Fault | undefined;

  constructor(context: TranscriptContext) {
    this.#context = context;
  }

  append(bytes: Buffer): void {
    const parts = (this.#open + this.#decoder.write(bytes)).split("\n");
    this.#open = parts.pop() ?? "";
    if (this.#open.length > LONGEST_LINE) {
      parts.push(this.#open);
      this.#open = "";
    }
    for (const part of parts) this.#keep(readable(part));
    for (const waiter of this.#waiters) this.#try(waiter);
  }

  /** No more text will come: whatever is awaited is refused with `why`, now and later. */
  end(why: Fault): void {
    this.#ended ??= why;
    for (const waiter of this.#waiters) waiter.reject(why);
    this.#waiters.clear();
  }

  /** The lines retained (the last 8 MiB), without escape sequences; the last one may be unfinished. */
  lines(): string[] {
    return this.#open === "" ? [...this.#lines] : [...this.#lines, readable(this.#open)];
  }

  /** The last lines that are not empty. */
  tail(count = 20): string[] {
    return this.lines()
      .filter((line) => line.trim() !== "")
      .slice(-count);
  }

  mark(): Mark {
    return { line: this.#first + this.#lines.length, column: readable(this.#open).length };
  }

  /**
   * Resolves with the first match. A pattern is matched against one line at a time, the unfinished one included (a
   * prompt has no end of line). Rejects with E_VM_TIMEOUT, or with the reason of `end`.
   */
  waitFor(pattern: RegExp, options: WaitOptions = {}): Promise<RegExpExecArray> {
    const flags = pattern.flags.replace(/[gy]/g, "");
    const limit = (options.timeoutMs ?? DEFAULT_TIMEOUT_MS) * this.#context.timeScale;
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        pattern: new RegExp(pattern.source, flags),
        from: options.after ?? { line: 0, column: 0 },
        resolve: (match) => {
          clearTimeout(timer);
          resolve(match);
        },
        reject: (fault) => {
          clearTimeout(timer);
          reject(fault);
        },
      };
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        const awaited = options.awaited ?? `${String(pattern)} on ${this.#context.label}`;
        reject(timeoutFault(this.#context, awaited, limit));
      }, limit);
      this.#waiters.add(waiter);
      this.#try(waiter);
      if (this.#ended !== undefined && this.#waiters.delete(waiter)) waiter.reject(this.#ended);
    });
  }

  #keep(line: string): void {
    this.#lines.push(line);
    this.#retained += line.length + 1;
    if (this.#retained <= RETAINED_CHARACTERS) return;
    // half at once, so that a chatty guest does not make every line an O(n) removal
    const dropped = this.#lines.splice(0, this.#lines.length >> 1);
    this.#first += dropped.length;
    this.#retained = this.#lines.reduce((sum, kept) => sum + kept.length + 1, 0);
  }

  #try(waiter: Waiter): void {
    let { line, column } = waiter.from;
    if (line < this.#first) [line, column] = [this.#first, 0];
    const end = this.#first + this.#lines.length;
    for (; line <= end; line++, column = 0) {
      const text = line === end ? readable(this.#open) : (this.#lines[line - this.#first] ?? "");
      const match = waiter.pattern.exec(text.slice(column));
      if (match !== null) {
        this.#waiters.delete(waiter);
        waiter.resolve(match);
        return;
      }
      if (line < end) waiter.from = { line: line + 1, column: 0 };
    }
  }
}

/** E_VM_TIMEOUT: what was awaited, for how long, and what was there instead. */
export function timeoutFault(context: TranscriptContext, awaited: string, limitMs: number): Fault {
  return new Fault("E_VM_TIMEOUT", `waited ${(limitMs / 1000).toFixed(1)} s in vain for ${awaited}`, {
    details: context.evidence(),
    ...(context.log === undefined ? {} : { log: context.log }),
  });
}

/** Text of one line without escape sequences and control characters. */
export function readable(text: string): string {
  return text.replace(ESCAPES, "").replace(CONTROLS, "");
}

const STAMP = /^\[ *(\d+\.\d{6})\]/;

/**
 * Seconds since the guest's kernel started, read from the time stamp of the first line that matches (the kernel option
 * `printk.time`, see Documentation/admin-guide/kernel-parameters.txt); undefined when no stamped line does.
 */
export function guestSeconds(lines: readonly string[], pattern: RegExp): number | undefined {
  for (const line of lines) {
    const stamp = STAMP.exec(line);
    if (stamp?.[1] !== undefined && line.search(pattern) !== -1) return Number(stamp[1]);
  }
  return undefined;
}
