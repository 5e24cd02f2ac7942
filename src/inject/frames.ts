/** Frames of the ingot protocol: u32le length of the rest, a letter, a body. docs/ingots.md, "The protocol". */
import { Fault } from "../fault/fault.ts";

export interface Frame {
  readonly type: string;
  readonly body: Buffer;
}

/** The Monolith sends nothing but short texts. */
const LONGEST_ANSWER = 1 << 20;
/** What the answers to the host's greeting begin with; the length of the frame stands in the four bytes before. */
const GREETING = Buffer.from("Hprotocol ");
const REFUSAL = Buffer.from("EE_");

export function frame(type: string, ...parts: readonly (Uint8Array | string)[]): Buffer {
  const body = parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part));
  const head = Buffer.alloc(5);
  head.writeUInt32LE(1 + body.reduce((sum, part) => sum + part.length, 0));
  head.write(type, 4, "latin1");
  return Buffer.concat([head, ...body]);
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/**
 * Cuts what comes into frames. Before the greeting there may be the rest of what was meant for an earlier host, which
 * had gone: all before the greeting is passed over, but for refusals, which may be the answer to it.
 */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);
  #greeted = false;

  /** Throws E_INGOT_PROTOCOL for what cannot be an answer. */
  push(bytes: Buffer): Frame[] {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const frames: Frame[] = [];
    for (;;) {
      if (!this.#greeted && !this.#skipToAnswer()) return frames;
      const frame = this.#next();
      if (frame === undefined) return frames;
      this.#greeted ||= frame.type === "H";
      frames.push(frame);
    }
  }

  #skipToAnswer(): boolean {
    const places = [GREETING, REFUSAL].map((answer) => this.#rest.indexOf(answer, 4)).filter((at) => at !== -1);
    // else the beginning of an answer may be there already
    const from = places.length > 0 ? Math.min(...places) - 4 : this.#rest.length - GREETING.length - 4;
    this.#rest = this.#rest.subarray(Math.max(0, from));
    return places.length > 0;
  }

  #next(): Frame | undefined {
    if (this.#rest.length < 5) return undefined;
    const length = this.#rest.readUInt32LE(0);
    if (length === 0 || length > LONGEST_ANSWER)
      throw new Fault("E_INGOT_PROTOCOL", `an answer of ${length} bytes cannot be one`, {
        details: [`type ${JSON.stringify(String.fromCharCode(this.#rest[4] as number))}`],
      });
    if (this.#rest.length < 4 + length) return undefined;
    const type = String.fromCharCode(this.#rest[4] as number);
    const body = this.#rest.subarray(5, 4 + length);
    this.#rest = this.#rest.subarray(4 + length);
    return { type, body };
  }
}
