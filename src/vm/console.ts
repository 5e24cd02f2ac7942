/** A root shell of a guest on a virtio console: commands go in, their output and exit status come back, see frame.ts. */
import { connect, type Socket } from "node:net";
import { Fault } from "../fault/fault.ts";
import {
  commandLines,
  END_WINDOW,
  endsFrame,
  greetingLine,
  newHalves,
  readFrame,
  repeatLine,
  type CommandResult,
  type Halves,
} from "./frame.ts";
import {
  DEFAULT_TIMEOUT_MS,
  timeoutFault,
  Transcript,
  type Mark,
  type TranscriptContext,
  type WaitOptions,
} from "./transcript.ts";

export interface ConsoleOptions extends TranscriptContext {
  /** Path of the console's unix socket. */
  readonly socket: string;
  /** Why the connection ended, for whatever is awaited then. */
  readonly whyClosed?: () => Promise<Fault>;
}

export interface RunOptions {
  /** Holds for the shell's readiness and for the command, each. Milliseconds before `timeScale`; default one minute. */
  readonly timeoutMs?: number;
}

const GREET_AGAIN_MS = 1000;
/** When something came that is no frame and then nothing, the frame may have been damaged: it is asked for again. */
const ASK_AGAIN_MS = [2000, 8000, 32_000];

/** A command whose frame has not come yet. */
interface Awaited {
  readonly halves: Halves;
  /** What came since the command went in, one character per byte. */
  received: string[];
  /** The end of it, in which the end marker is looked for. */
  tail: string;
  asked: number;
  timer: NodeJS.Timeout | undefined;
  readonly resolve: (result: CommandResult) => void;
  readonly reject: (fault: Fault) => void;
}

export class Console {
  readonly #options: ConsoleOptions;
  #transcript: Transcript;
  #connection: Promise<Socket> | undefined;
  #awaited: Awaited | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #closings = 0;
  #greeted = false;
  #busy = false;

  /** Connects at first use: a console serves one client at a time, so an unused one stays free for other processes. */
  constructor(options: ConsoleOptions) {
    this.#options = options;
    this.#transcript = new Transcript(options);
  }

  /**
   * Runs a command (any text of shell, several lines too) and waits for its end. `cd` and variables last no longer than
   * the command. What it leaves in the background must have its own output (`>/dev/null 2>&1 &`). Commands of several
   * callers run one after the other. Throws E_VM_TIMEOUT; after that the next command interrupts this one. Throws the
   * machine's fault when it ends meanwhile, E_CONSOLE_GARBLED when no frame comes through whole.
   */
  run(command: string, options: RunOptions = {}): Promise<CommandResult> {
    return this.#queued(() => this.#run(command, options.timeoutMs ?? DEFAULT_TIMEOUT_MS));
  }

  /** As `run`, and returns the output; throws E_COMMAND when the status is not 0. */
  async succeed(command: string, options: RunOptions = {}): Promise<string> {
    const { status, output } = await this.run(command, options);
    if (status === 0) return output;
    throw new Fault("E_COMMAND", `a command on ${this.#options.label} ended with status ${status}: ${command}`, {
      details: output.trimEnd().split("\n").slice(-20),
      ...(this.#options.log === undefined ? {} : { log: this.#options.log }),
    });
  }

  /** Waits until the shell answers. `run` does so by itself. */
  ready(options: RunOptions = {}): Promise<void> {
    return this.#queued(() => this.#greet(options.timeoutMs ?? DEFAULT_TIMEOUT_MS));
  }

  /** Waits for text on the console that no command of ours wrote; text before the first use of the console is gone. */
  async waitFor(pattern: RegExp, options: WaitOptions = {}): Promise<RegExpExecArray> {
    await this.#connect();
    return this.#transcript.waitFor(pattern, options);
  }

  mark(): Mark {
    return this.#transcript.mark();
  }

  /** To be called when the guest was reset: its shell is another one then, and what ran there never answers. */
  forget(): void {
    this.#greeted = false;
    const fault = new Fault("E_CONSOLE_CLOSED", `the guest was reset while a command ran on ${this.#options.label}`);
    this.#awaited?.reject(fault);
  }

  /** Leaves the console to other processes. What is still awaited is refused; it can be used again. */
  close(): void {
    this.#closings++;
    this.#lost(this.#closedFault());
  }

  #closedFault(): Fault {
    return new Fault("E_CONSOLE_CLOSED", `${this.#options.label} was closed`);
  }

  #queued<T>(act: () => Promise<T>): Promise<T> {
    const closings = this.#closings;
    const turn = this.#last.then(() => (closings === this.#closings ? act() : Promise.reject(this.#closedFault())));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #run(command: string, timeoutMs: number): Promise<CommandResult> {
    if (!this.#greeted) await this.#greet(timeoutMs);
    const socket = await this.#connect();
    const limit = timeoutMs * this.#options.timeScale;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        const halves = newHalves();
        this.#awaited = { halves, received: [], tail: "", asked: 0, timer: undefined, resolve, reject };
        timer = setTimeout(() => {
          this.#greeted = false;
          this.#busy = true;
          reject(timeoutFault(this.#options, `the end of "${abridge(command)}" on ${this.#options.label}`, limit));
        }, limit);
        socket.write(commandLines(command, halves));
      });
    } finally {
      clearTimeout(timer);
      clearTimeout(this.#awaited?.timer);
      this.#awaited = undefined;
    }
  }

  async #greet(timeoutMs: number): Promise<void> {
    const socket = await this.#connect();
    const halves = newHalves();
    const after = this.#transcript.mark();
    if (this.#busy) socket.write("\x03");
    socket.write(greetingLine(halves));
    // a shell that starts flushes what was typed before
    const again = setInterval(() => socket.write(greetingLine(halves)), GREET_AGAIN_MS);
    try {
      const awaited = `a shell's answer on ${this.#options.label}`;
      await this.#transcript.waitFor(new RegExp(halves.join("")), { after, timeoutMs, awaited });
    } finally {
      clearInterval(again);
    }
    this.#greeted = true;
    this.#busy = false;
  }

  #connect(): Promise<Socket> {
    if (this.#connection !== undefined) return this.#connection;
    const connection = new Promise<Socket>((resolve, reject) => {
      const socket = connect(this.#options.socket);
      const closed = new Fault("E_CONSOLE_CLOSED", `nothing serves ${this.#options.label}`);
      socket.once("connect", () => resolve(socket));
      socket.on("error", () => undefined); // "close" follows
      socket.on("data", (bytes) => this.#receive(socket, bytes));
      socket.on("close", () => {
        void (this.#options.whyClosed?.() ?? Promise.resolve(closed)).then((fault) => {
          reject(fault);
          if (this.#connection === connection) this.#lost(fault);
        });
      });
    });
    this.#connection = connection;
    return connection;
  }

  #lost(fault: Fault): void {
    const connection = this.#connection;
    this.#connection = undefined;
    this.#greeted = false;
    this.#awaited?.reject(fault);
    this.#transcript.end(fault);
    this.#transcript = new Transcript(this.#options);
    connection?.then(
      (socket) => socket.destroy(),
      () => undefined,
    );
  }

  #receive(socket: Socket, bytes: Buffer): void {
    this.#transcript.append(bytes);
    const awaited = this.#awaited;
    if (awaited === undefined) return;
    clearTimeout(awaited.timer);
    const text = bytes.toString("latin1");
    const recent = awaited.tail + text;
    awaited.received.push(text);
    awaited.tail = recent.slice(-END_WINDOW);
    if (endsFrame(recent, awaited.halves)) {
      const result = readFrame(awaited.received.join(""), awaited.halves);
      if (result !== undefined) return awaited.resolve(result);
      awaited.received = [];
      awaited.tail = "";
      this.#askAgain(socket, awaited);
    } else {
      const patience = ASK_AGAIN_MS[awaited.asked];
      if (patience !== undefined) awaited.timer = setTimeout(() => this.#askAgain(socket, awaited), patience);
    }
  }

  #askAgain(socket: Socket, awaited: Awaited): void {
    if (awaited.asked++ === ASK_AGAIN_MS.length) {
      awaited.reject(new Fault("E_CONSOLE_GARBLED", `something else writes all the time on ${this.#options.label}`));
    } else socket.write(repeatLine(awaited.halves));
  }
}

function abridge(command: string): string {
  const line = command.trim().replace(/\s*\n\s*/g, "; ");
  return line.length <= 100 ? line : `${line.slice(0, 99)}…`;
}
