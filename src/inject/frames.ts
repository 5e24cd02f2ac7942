/** Frames of the ingot protocol: u32le length of the rest, a letter, a body. docs/ingots.md, "The protocol". */
import { Fault } from "../fault/fault.ts";

export interface Frame {
  readonly type: string;
  readonly body: Buffer;
}

/** The Monolith sends nothing but short texts. */
const LONGEST_ANSWER = 1 << 20;
/** What the answer to the host's greeting begins with; its length stands in the four bytes before. */
const GREETING = Buffer.from("Hprotocol ");

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
 * had gone: all before the greeting is passed over.
 */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);
  #greeted = false;

  /** Throws E_INGOT_PROTOCOL for what cannot be an answer. */
  push(bytes: Buffer): Frame[] {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    if (!this.#greeted && !this.#skipToGreeting()) return [];
    const frames: Frame[] = [];
    for (;;) {
      const frame = this.#next();
      if (frame === undefined) return frames;
      frames.push(frame);
    }
  }

  #skipToGreeting(): boolean {
    const at = this.#rest.indexOf(GREETING, 4);
    this.#greeted = at !== -1;
    // the beginning of a greeting may be there already
    this.#rest = this.#rest.subarray(this.#greeted ? at - 4 : Math.max(0, this.#rest.length - GREETING.length - 4));
    return this.#greeted;
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
