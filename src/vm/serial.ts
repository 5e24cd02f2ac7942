/** The serial port of a machine: a log, and a line to whatever listens on it in the guest. */
import type { Socket } from "node:net";
import type { Fault } from "../fault/fault.ts";
import { Transcript, type Mark, type TranscriptContext, type WaitOptions } from "./transcript.ts";

export class SerialPort {
  readonly #socket: Socket;
  readonly #transcript: Transcript;

  constructor(socket: Socket, context: TranscriptContext) {
    this.#socket = socket;
    this.#transcript = new Transcript(context);
    socket.on("data", (bytes) => this.#transcript.append(bytes));
  }

  /** The first line, of all that has come and will come (or after a mark), that matches; see `Transcript.waitFor`. */
  waitForLog(pattern: RegExp, options: WaitOptions = {}): Promise<RegExpExecArray> {
    return this.#transcript.waitFor(pattern, options);
  }

  /** All lines so far (of the last 8 MiB), without escape sequences. */
  lines(): string[] {
    return this.#transcript.lines();
  }

  /** The last lines that are not empty. */
  tail(count?: number): string[] {
    return this.#transcript.tail(count);
  }

  /** The present end of the log, for waits that must not see what came before. */
  mark(): Mark {
    return this.#transcript.mark();
  }

  /** Types into the guest's serial port. Resolves when QEMU has taken it, or is gone. */
  write(data: string | Buffer): Promise<void> {
    return new Promise((resolve) => this.#socket.write(data, () => resolve()));
  }

  /** Calls back with each piece of output from now on; the result stops that. */
  onData(listener: (bytes: Buffer) => void): () => void {
    this.#socket.on("data", listener);
    return () => this.#socket.off("data", listener);
  }

  /** Refuses what is awaited, now and later. */
  end(why: Fault): void {
    this.#transcript.end(why);
  }
}
