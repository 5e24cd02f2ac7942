/**
 * Runs a command in a running Monolith with this process's standard streams: the host's side of `anvil-exec`
 * (native/exec). docs/exec.md has the frames.
 */
import type { Readable, Writable } from "node:stream";
import { constants } from "node:os";
import { errno, Fault } from "../fault/fault.ts";
import { frame } from "./frames.ts";
import type { Transport } from "./transport.ts";

export interface ExecOptions {
  readonly transport: Transport;
  /** What `anvil-exec` was told to say first: what comes before it was meant for an earlier host. */
  readonly token: string;
  /** How long that may take, in milliseconds. */
  readonly patience: number;
  /** For messages. */
  readonly to: string;
  readonly input: Readable;
  readonly output: Writable;
  readonly errors: Writable;
}

/** Frames of input are no longer than this; of output they may be. */
const LONGEST_SENT = 32 << 10;
const LONGEST_RECEIVED = 1 << 20;
const HEADER = 5;

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;
type Signal = (typeof SIGNALS)[number];

/**
 * Carries the streams until the command has ended; resolves with its exit status. Signals of this process are the
 * command's: the third one ends the line, and with it the command. Throws E_EXEC_LOST when nothing answers, what ended
 * the line, and E_NO_SUCH_FILE when the input cannot be read.
 */
export function carry(options: ExecOptions): Promise<number> {
  return new Carrier(options).run();
}

class Carrier {
  readonly #options: ExecOptions;
  #received: Buffer = Buffer.alloc(0);
  #greeted = false;
  /** Input that has not been sent, for the other end has not asked for it yet. */
  #pending: Buffer[] = [];
  #granted = 0;
  #inputEnded = false;
  #signals: Signal[] = [];
  #outputGone = false;
  #settled = false;
  #resolve: (status: number) => void = () => undefined;
  #reject: (error: unknown) => void = () => undefined;

  constructor(options: ExecOptions) {
    this.#options = options;
  }

  async run(): Promise<number> {
    const { transport, input, output, errors, patience, to } = this.#options;
    const ended = new Promise<number>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    const late = setTimeout(() => {
      if (!this.#greeted)
        this.#reject(new Fault("E_EXEC_LOST", `${to} does not answer`, { hint: "look at its console" }));
    }, patience);
    transport.input.on("data", this.#receive);
    transport.input.once("close", this.#lost);
    output.on("error", this.#onOutputError);
    errors.on("error", () => undefined);
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
    try {
      const status = await ended;
      await flushed(output);
      return status;
    } finally {
      this.#settled = true;
      clearTimeout(late);
      for (const signal of SIGNALS) process.off(signal, this.#onSignal);
      input.off("data", this.#onInput);
      // a terminal or a pipe that stays open must not keep this process
      input.destroy();
      transport.input.off("data", this.#receive);
      transport.close();
    }
  }

  #send(type: string, body: Uint8Array | string = ""): void {
    if (!this.#settled) this.#options.transport.output.write(frame(type, body));
  }

  // ---- from here to there

  readonly #onInput = (bytes: Buffer | string): void => {
    this.#pending.push(Buffer.from(bytes));
    this.#pump();
  };

  readonly #onInputEnd = (): void => {
    if (this.#inputEnded) return;
    this.#inputEnded = true;
    this.#pump();
  };

  readonly #onInputError = (cause: Error): void => {
    // not its end: what came so far must not be taken for all, so the line ends and the command is interrupted
    this.#reject(new Fault("E_NO_SUCH_FILE", `the standard input cannot be read: ${cause.message}`, { cause }));
  };

  #pump(): void {
    const { input } = this.#options;
    for (let next = this.#pending[0]; next !== undefined && this.#granted > 0; next = this.#pending[0]) {
      const piece = next.subarray(0, Math.min(this.#granted, LONGEST_SENT));
      this.#granted -= piece.length;
      this.#send("I", piece);
      if (piece.length === next.length) this.#pending.shift();
      else this.#pending[0] = next.subarray(piece.length);
    }
    if (this.#pending.length > 0) input.pause();
    else if (this.#inputEnded) this.#sendEnd();
    else if (this.#granted > 0) input.resume();
    else input.pause();
  }

  #endSent = false;

  #sendEnd(): void {
    if (!this.#endSent) this.#send("Z");
    this.#endSent = true;
  }

  readonly #onSignal = (signal: Signal): void => {
    this.#signals.push(signal);
    if (this.#signals.length > 2 || !this.#greeted) this.#lost();
    // a command that ignores the first one is asked more firmly
    else this.#send("S", this.#signals.length === 2 ? "TERM" : signal.slice("SIG".length));
  };

  // ---- from there to here

  readonly #receive = (bytes: Buffer): void => {
    this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
    if (!this.#greeted && !this.#findGreeting()) return;
    try {
      for (let next = this.#next(); next !== undefined && !this.#settled; next = this.#next()) this.#take(...next);
    } catch (error) {
      this.#reject(error);
    }
  };

  #findGreeting(): boolean {
    const greeting = frame("H", this.#options.token);
    const at = this.#received.indexOf(greeting);
    this.#received = this.#received.subarray(at === -1 ? Math.max(0, this.#received.length - greeting.length) : at);
    if (at === -1) return false;
    this.#greeted = true;
    const { input } = this.#options;
    input.on("end", this.#onInputEnd);
    input.on("error", this.#onInputError);
    input.on("data", this.#onInput);
    input.pause();
    return true;
  }

  #next(): [string, Buffer] | undefined {
    if (this.#received.length < HEADER) return undefined;
    const length = this.#received.readUInt32LE(0);
    if (length === 0 || length > LONGEST_RECEIVED) throw strange(`a frame of ${length} bytes`);
    if (this.#received.length < HEADER - 1 + length) return undefined;
    const type = String.fromCharCode(this.#received[HEADER - 1] as number);
    const body = this.#received.subarray(HEADER, HEADER - 1 + length);
    this.#received = this.#received.subarray(HEADER - 1 + length);
    return [type, body];
  }

  #take(type: string, body: Buffer): void {
    switch (type) {
      case "H":
        return;
      case "W":
        if (body.length !== 4) throw strange("a frame W of another length");
        this.#granted += body.readUInt32LE(0);
        this.#pump();
        return;
      case "O":
        if (!this.#outputGone) this.#show(this.#options.output, body);
        return;
      case "E":
        this.#show(this.#options.errors, body);
        return;
      case "X":
        if (!/^\d{1,3}$/.test(body.toString("latin1"))) throw strange("a status that is no number");
        this.#send("Q");
        this.#resolve(Number(body.toString("latin1")));
        return;
      default:
        throw strange(`a frame ${JSON.stringify(type)}`);
    }
  }

  /** Nothing more is read from the line until the output has taken this. */
  #show(to: Writable, bytes: Buffer): void {
    const { transport } = this.#options;
    if (to.write(bytes) || to.destroyed) return;
    transport.input.pause();
    to.once("drain", () => transport.input.resume());
  }

  /** Whoever read the output has gone, as with `| head`: the command learns it as it would from a pipe. */
  readonly #onOutputError = (error: Error): void => {
    if (errno(error) !== "EPIPE") this.#reject(error);
    if (this.#outputGone) return;
    this.#outputGone = true;
    this.#options.transport.input.resume();
    this.#send("S", "PIPE");
  };

  readonly #lost = (): void => {
    const [signal] = this.#signals;
    if (signal !== undefined) this.#resolve(128 + constants.signals[signal]);
    else void this.#options.transport.whyEnded().then(this.#reject);
  };
}

function strange(what: string): Fault {
  return new Fault("E_EXEC_LOST", `the Monolith sent ${what} that does not belong here`, {
    hint: "use the `anvil` that its ISO was forged with",
  });
}

/** What was written has left this process. */
function flushed(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || stream.writableLength === 0) resolve();
    else stream.write("", () => resolve());
  });
}
