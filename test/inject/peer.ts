/** A Monolith of the tests: the other end of the protocol, in this process, played by a script. */
import { PassThrough } from "node:stream";
import { frame, u32 } from "../../src/inject/frames.ts";
import type { Transport } from "../../src/inject/transport.ts";
import { Fault } from "../../src/fault/fault.ts";

export interface Sent {
  readonly type: string;
  readonly body: Buffer;
}

export const GREETING = frame(
  "H",
  "protocol 1\narch x86_64\nsystem 0123456789ab\npool memory\nkept no\ntrust 00112233\nfree 1000\n",
);

export class Peer {
  /** Everything that the host has sent, in order. */
  readonly sent: Sent[] = [];
  readonly transport: Transport;
  closed = false;
  readonly #toHost = new PassThrough();
  readonly #fromHost = new PassThrough();
  #rest: Buffer = Buffer.alloc(0);

  /** @param answer is called with each frame of the host and says what comes back. */
  constructor(answer: (sent: Sent, peer: Peer) => void, timeScale = 1) {
    this.transport = {
      to: "the peer",
      input: this.#toHost,
      output: this.#fromHost,
      timeScale,
      whyEnded: () => Promise.resolve(new Fault("E_INGOT_LOST", "the peer has gone")),
      close: () => {
        this.closed = true;
      },
    };
    this.#fromHost.on("data", (bytes: Buffer) => {
      this.#rest = Buffer.concat([this.#rest, bytes]);
      for (;;) {
        const length = this.#rest.length < 4 ? Infinity : 4 + this.#rest.readUInt32LE();
        if (this.#rest.length < length) return;
        const sent = { type: String.fromCharCode(this.#rest[4] as number), body: this.#rest.subarray(5, length) };
        this.#rest = this.#rest.subarray(length);
        this.sent.push(sent);
        answer(sent, this);
      }
    });
  }

  say(...frames: readonly Buffer[]): void {
    for (const each of frames) this.#toHost.write(each);
  }

  hangUp(): void {
    this.#toHost.destroy();
  }

  /** Letters of what came, one after the other. */
  get letters(): string {
    return this.sent.map(({ type }) => type).join("");
  }
}

export const wanted = (first: number, window: number): Buffer => frame("W", u32(first), u32(window));
export const acknowledged = (index: number): Buffer => frame("A", u32(index));
export const progress = (text: string): Buffer => frame("P", text);
export const success = (text: string): Buffer => frame("R", text);
export const refusal = (text: string): Buffer => frame("E", text);
