/** The host's side of the ingot protocol. docs/ingots.md, "The protocol". */
import { setTimeout as sleep } from "node:timers/promises";
import { Fault, parseFault } from "../fault/fault.ts";
import { frame, FrameReader, u32, type Frame } from "./frames.ts";
import type { Ingot } from "./ingot-file.ts";
import { encodePath } from "./manifest.ts";
import type { Destination, Transport } from "./transport.ts";

/** What the Monolith says of itself. */
export interface SystemFacts {
  readonly arch: string;
  /** BUILD_ID of its root. */
  readonly system: string;
  readonly pool: string;
  /** False when ingots are gone after a restart. */
  readonly kept: boolean;
  /** Ids of the keys whose ingots it accepts. */
  readonly trust: readonly string[];
  /** Bytes. */
  readonly free: number;
}

/** What the Monolith reports at the end of a command, by word. */
export type Facts = Readonly<Record<string, string>>;

export interface AddOptions {
  readonly allowDowngrade: boolean;
  readonly onPhase: (phase: string) => void;
  /** Bytes of the payload that are verified and written, with those that were there before. */
  readonly onProgress: (bytes: number) => void;
}

export interface Added {
  /** Bytes of the payload that were sent; less than all of it after a break. */
  readonly sent: number;
  readonly facts: Facts;
}

/** Between greetings there is silence for more than a second: that is how the Monolith knows them within a broken frame. */
const GREET_AGAIN = 3_000;
/** Limits in milliseconds, before the destination's `timeScale`. */
/** A line that is opened again at once looks to the guest as if it had never been closed. */
const BEFORE_NEXT_LINE = 200;
const ANSWER_LIMIT = 60_000;
/** The slowest disk: bytes per millisecond that are read, hashed or written without a word. */
const SLOWEST = 20_000;
/** More chunks on the way than this only take memory here. */
const WIDEST_WINDOW = 16;

export class Client {
  readonly system: SystemFacts;
  readonly #to: string;
  readonly #line: Line;

  private constructor({ to }: Destination, line: Line, system: SystemFacts) {
    this.#to = to;
    this.#line = line;
    this.system = system;
  }

  /**
   * Connects and greets the Monolith until it answers. Throws E_INGOT_LOST when nothing does, E_INGOT_PROTOCOL,
   * E_INTERRUPTED, the Monolith's refusal, and what opening throws.
   */
  static async open(destination: Destination, signal: AbortSignal): Promise<Client> {
    for (const [index, patience] of destination.patience.entries()) {
      const line = new Line(await destination.open(), destination.timeScale, signal);
      try {
        return new Client(destination, line, await greet(line, destination, patience));
      } catch (error) {
        line.close();
        if (!(error instanceof Silence) || index === destination.patience.length - 1) throw error;
        await sleep(BEFORE_NEXT_LINE * destination.timeScale);
      }
    }
    throw new Silence(destination.to);
  }

  /**
   * Carries out a command other than `add`; `onLine` gets each line of its result, the facts at its end are returned.
   * Throws the Monolith's refusal.
   */
  async command(words: readonly string[], onLine: (line: string) => void): Promise<Facts> {
    this.#line.send(frame("C", words.join(" ")));
    for (;;) {
      const answer = await this.#answer();
      if (answer.type === "R") return factsOf(answer.body);
      if (answer.type !== "L" && answer.type !== "P") throw unexpected(answer);
      if (answer.type === "L") onLine(answer.body.toString());
    }
  }

  /**
   * What a file of an ingot's data has from byte `from` on; its pieces go to `onBytes`. Returns how long the file was then.
   * Throws the Monolith's refusal: E_INGOT_UNKNOWN when there is no such file.
   */
  async get(ingot: string, file: string, from: number, onBytes: (bytes: Buffer) => void): Promise<number> {
    this.#line.send(frame("C", `get ${ingot} ${encodePath(file)} ${from}`));
    for (;;) {
      const answer = await this.#answer();
      if (answer.type === "R") return Number(factsOf(answer.body)["size"]);
      if (answer.type !== "B") throw unexpected(answer);
      onBytes(answer.body);
    }
  }

  /** Sends an ingot and waits until it is active. Throws the Monolith's refusal. */
  async add(ingot: Ingot, options: AddOptions): Promise<Added> {
    this.#line.send(frame("C", options.allowDowngrade ? "add allow-downgrade" : "add"));
    this.#line.send(frame("M", ingot.head));
    const { chunks } = ingot.manifest;
    const unpacked = chunks.reduce((sum, { size }) => sum + size, 0);
    let [next, acknowledged, window, sent, written] = [0, 0, 0, 0, 0];
    for (;;) {
      for (; next < chunks.length && next - acknowledged < window; next++) {
        const bytes = await ingot.chunk(next);
        this.#line.send(frame("D", u32(next), bytes));
        sent += bytes.length;
      }
      const answer = await this.#answer(unpacked);
      switch (answer.type) {
        case "W":
          [next, window] = firstAndWindow(answer, chunks.length);
          acknowledged = next;
          written = chunks.slice(0, next).reduce((sum, { stored }) => sum + stored, 0);
          options.onProgress(written);
          break;
        case "A":
          if (answer.body.length !== 4 || answer.body.readUInt32LE() !== acknowledged || acknowledged >= next)
            throw unexpected(answer);
          written += chunks[acknowledged++]?.stored ?? 0;
          options.onProgress(written);
          break;
        case "P":
          options.onPhase(answer.body.toString());
          break;
        case "R":
          return { sent, facts: factsOf(answer.body) };
        default:
          throw unexpected(answer);
      }
    }
  }

  close(): void {
    this.#line.close();
  }

  /** The next frame; a refusal is thrown. `bytes` is what may have to be read and written before there is one. */
  async #answer(bytes = 0): Promise<Frame> {
    const late = (): Fault =>
      new Fault("E_INGOT_LOST", `${this.#to} has fallen silent`, {
        hint: "look at its console; then repeat the command: it goes on where it was",
      });
    let answer: Frame;
    // each greeting is answered, however often it was sent
    do answer = await this.#line.next(ANSWER_LIMIT + bytes / SLOWEST, late);
    while (answer.type === "H");
    if (answer.type === "E") throw refusal(answer.body.toString());
    return answer;
  }
}

class Silence extends Fault {
  constructor(to: string) {
    super("E_INGOT_LOST", `${to} does not answer`, {
      hint: "it may still be starting, run a system without ingots, or speak with another program",
    });
  }
}

async function greet(line: Line, { to, timeScale }: Destination, patience: number): Promise<SystemFacts> {
  const send = (): void => line.send(frame("H", "1"));
  // an agent that is started again, or awaits the rest of what an earlier host did not send to the end, missed the first
  const again = setInterval(send, GREET_AGAIN * Math.min(1, timeScale));
  try {
    send();
    for (let refused = false; ; refused = true) {
      const answer = await line.next(patience, () => new Silence(to));
      if (answer.type === "H") return systemFacts(answer.body.toString());
      // the first one may have been meant for an earlier host
      if (refused) throw refusal(answer.body.toString());
    }
  } finally {
    clearInterval(again);
  }
}

/** Frames over a transport, with time limits. */
class Line {
  readonly #transport: Transport;
  readonly #frames: Frame[] = [];
  readonly #onAbort = (): void => this.#end(new Fault("E_INTERRUPTED", "interrupted"));
  readonly #signal: AbortSignal;
  readonly #timeScale: number;
  #ended: Fault | undefined;
  #wake: (() => void) | undefined;

  constructor(transport: Transport, timeScale: number, signal: AbortSignal) {
    this.#transport = transport;
    this.#timeScale = timeScale;
    this.#signal = signal;
    const reader = new FrameReader();
    transport.input.on("data", (bytes: Buffer) => {
      try {
        this.#frames.push(...reader.push(bytes));
      } catch (error) {
        this.#end(error as Fault);
      }
      this.#wake?.();
    });
    transport.input.on("error", () => undefined); // "close" follows
    transport.input.once("close", () => void transport.whyEnded().then((why) => this.#end(why)));
    if (signal.aborted) this.#onAbort();
    signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** What is on the way is bounded by the window: nothing waits here until the other end takes it. */
  send(bytes: Buffer): void {
    if (this.#ended === undefined) this.#transport.output.write(bytes);
  }

  async next(limitMs: number, late: () => Fault): Promise<Frame> {
    const timer = setTimeout(() => this.#end(late()), limitMs * this.#timeScale);
    try {
      for (;;) {
        const frame = this.#frames.shift();
        if (frame !== undefined) return frame;
        if (this.#ended !== undefined) throw this.#ended;
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#signal.removeEventListener("abort", this.#onAbort);
    this.#transport.close();
  }

  #end(why: Fault): void {
    this.#ended ??= why;
    this.#wake?.();
  }
}

function firstAndWindow({ type, body }: Frame, chunks: number): [number, number] {
  const [first, window] = body.length === 8 ? [body.readUInt32LE(0), body.readUInt32LE(4)] : [0, 0];
  if (window === 0 || first > chunks) throw unexpected({ type, body });
  return [first, Math.min(window, WIDEST_WINDOW)];
}

function systemFacts(text: string): SystemFacts {
  const rows = text.split("\n").map((line) => splitWord(line));
  const of = (word: string): string => rows.find(([each]) => each === word)?.[1] ?? "";
  if (of("protocol") !== "1")
    throw new Fault("E_INGOT_PROTOCOL", `the Monolith speaks version ${of("protocol")} of the protocol, not 1`, {
      hint: "use the `anvil` that its ISO was forged with",
    });
  return {
    arch: of("arch"),
    system: of("system"),
    pool: of("pool"),
    kept: of("kept") === "yes",
    trust: rows.filter(([word]) => word === "trust").map(([, id]) => id),
    free: Number(of("free")),
  };
}

function factsOf(body: Buffer): Record<string, string> {
  const lines = body.toString().split("\n");
  return Object.fromEntries(lines.filter((line) => line !== "").map(splitWord));
}

function splitWord(line: string): [string, string] {
  const cut = line.indexOf(" ");
  return cut === -1 ? [line, ""] : [line.slice(0, cut), line.slice(cut + 1)];
}

/** The agent renders faults as this program does. */
function refusal(text: string): Fault {
  const fault = text.startsWith("E_") ? parseFault(text) : undefined;
  return fault ?? unexpected({ type: "E", body: Buffer.from(text) });
}

function unexpected({ type, body }: Frame): Fault {
  return new Fault("E_INGOT_PROTOCOL", `the Monolith sent a frame ${JSON.stringify(type)} that does not belong here`, {
    details: body.length === 0 ? [] : [JSON.stringify(body.subarray(0, 100).toString("latin1"))],
    hint: "use the `anvil` that its ISO was forged with",
  });
}
