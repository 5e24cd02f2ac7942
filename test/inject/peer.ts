/** A Monolith of the tests: the other end of the protocol, in this process, played by a script. */
import { PassThrough } from "node:stream";
import { Fault } from "../../src/fault/fault.ts";
import { frame, u32 } from "../../src/inject/frames.ts";
import type { Destination, Transport } from "../../src/inject/transport.ts";

export interface Sent {
  readonly type: string;
  readonly body: Buffer;
}

export const GREETING = frame(
  "H",
  "protocol 1\narch x86_64\nsystem 0123456789ab\npool memory\nkept no\nfree 1000\ntrust 00112233\n",
);

export class Peer implements Destination {
  readonly to = "the peer";
  readonly timeScale: number;
  readonly patience: readonly number[];
  /** Everything that the host has sent, in order. */
  readonly sent: Sent[] = [];
  /** How many lines were opened, and how many closed. */
  opened = 0;
  closed = 0;
  readonly #answer: (sent: Sent, peer: Peer) => void;
  #toHost = new PassThrough();

  /** @param answer is called with each frame of the host and says what comes back. */
  constructor(answer: (sent: Sent, peer: Peer) => void, timeScale = 1, patience = [30_000]) {
    this.#answer = answer;
    this.timeScale = timeScale;
    this.patience = patience;
  }

  open(): Promise<Transport> {
    this.opened++;
    this.#toHost = new PassThrough();
    return Promise.resolve({
      input: this.#toHost,
      output: this.#listen(),
      whyEnded: () => Promise.resolve(new Fault("E_INGOT_LOST", "the peer has gone")),
      close: () => {
        this.closed++;
      },
    });
  }

  #listen(): PassThrough {
    let rest: Buffer = Buffer.alloc(0);
    return new PassThrough().on("data", (bytes: Buffer) => {
      rest = Buffer.concat([rest, bytes]);
      for (;;) {
        const length = rest.length < 4 ? Infinity : 4 + rest.readUInt32LE();
        if (rest.length < length) return;
        const sent = { type: String.fromCharCode(rest[4] as number), body: rest.subarray(5, length) };
        rest = rest.subarray(length);
        this.sent.push(sent);
        this.#answer(sent, this);
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
