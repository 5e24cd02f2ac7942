/** A client of the QEMU Machine Protocol (docs/interop/qmp-spec): JSON objects on a unix socket, one per line. */
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { Fault } from "../fault/fault.ts";

export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** Host clock, seconds since 1970. */
  readonly seconds: number;
}

type Json = Readonly<Record<string, unknown>>;

interface QmpError {
  readonly class: string;
  readonly desc: string;
}

interface Pending {
  readonly command: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (fault: Fault) => void;
}

const DEFAULT_TIMEOUT_MS = 30_000;
/** The greeting has no id: it is awaited under one that no command has. */
const GREETING = 0;

export class Qmp {
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Set<(event: QmpEvent | undefined) => void>();
  #lastId = 0;
  #closed: Fault | undefined;
  #version = "";

  private constructor(socket: Socket) {
    this.#socket = socket;
    const lines = createInterface({ input: socket, crlfDelay: Infinity });
    lines.on("line", (line) => this.#receive(line));
    // errors of the socket come up here as well
    for (const emitter of [socket, lines]) emitter.on("error", (error: Error) => this.#close(error));
    socket.on("close", () => this.#close());
  }

  /** Takes a connected socket through the greeting and the negotiation of capabilities. Throws E_QMP. */
  static async over(socket: Socket, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<Qmp> {
    const qmp = new Qmp(socket);
    try {
      qmp.#version = versionOf(await qmp.#expect(GREETING, "a connection", timeoutMs));
      await qmp.execute("qmp_capabilities", {}, timeoutMs);
      return qmp;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  /** Version of QEMU from its greeting: "7.2.22". */
  get version(): string {
    return this.#version;
  }

  /** Runs a command and returns its value. Throws E_QMP when QEMU refuses it, does not answer or goes away. */
  execute(command: string, args: Json = {}, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<unknown> {
    const id = ++this.#lastId;
    const answer = this.#expect(id, `"${command}"`, timeoutMs);
    if (this.#closed === undefined)
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    return answer;
  }

  /** Calls back for each event from now on; the result stops that. */
  onEvent(listener: (event: QmpEvent) => void): () => void {
    const guarded = (event: QmpEvent | undefined): void => {
      if (event !== undefined) listener(event);
    };
    this.#listeners.add(guarded);
    return () => this.#listeners.delete(guarded);
  }

  /** The events from now on, kept until they are read. Ends when the connection does. */
  events(): AsyncIterableIterator<QmpEvent> {
    const queue: (QmpEvent | undefined)[] = [];
    let wake: (() => void) | undefined;
    const listener = (event: QmpEvent | undefined): void => {
      queue.push(event);
      wake?.();
    };
    if (this.#closed === undefined) this.#listeners.add(listener);
    else queue.push(undefined);
    const stop = (): Promise<IteratorResult<QmpEvent>> => {
      this.#listeners.delete(listener);
      return Promise.resolve({ done: true, value: undefined });
    };
    return {
      [Symbol.asyncIterator]() {
        return this;
      },
      async next() {
        while (queue.length === 0) await new Promise<void>((resolve) => (wake = resolve));
        const event = queue.shift();
        if (event !== undefined) return { done: false, value: event };
        queue.push(undefined);
        return stop();
      },
      return: stop,
    };
  }

  /**
   * The next event of this name, counted from the call: call it before the command that causes the event. Throws E_QMP
   * when the connection ends or the time is over.
   */
  nextEvent(name: string, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<QmpEvent> {
    return new Promise((resolve, reject) => {
      const done = (act: () => void): void => {
        clearTimeout(timer);
        this.#listeners.delete(listener);
        act();
      };
      const listener = (event: QmpEvent | undefined): void => {
        if (event === undefined) done(() => reject(this.#closed ?? goneFault()));
        else if (event.event === name) done(() => resolve(event));
      };
      const timer = setTimeout(
        () => done(() => reject(new Fault("E_QMP", `no ${name} event of QEMU within ${timeoutMs / 1000} s`))),
        timeoutMs,
      );
      if (this.#closed === undefined) this.#listeners.add(listener);
      else done(() => reject(this.#closed ?? goneFault()));
    });
  }

  /** Runs a command of the human monitor and returns its text, for what QMP has no command for. */
  async human(line: string): Promise<string> {
    return String(await this.execute("human-monitor-command", { "command-line": line }));
  }

  close(): void {
    this.#socket.destroy();
    this.#close();
  }

  #expect(id: number, command: string, timeoutMs: number): Promise<unknown> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(
          new Fault("E_QMP", `QEMU did not answer ${command} within ${timeoutMs / 1000} s`, {
            hint: "a control socket serves one client at a time: another command may hold it",
          }),
        );
      }, timeoutMs);
      this.#pending.set(id, {
        command,
        resolve: (value) => {
          clearTimeout(timer);
          resolve(value);
        },
        reject: (fault) => {
          clearTimeout(timer);
          reject(fault);
        },
      });
    });
  }

  #receive(line: string): void {
    let message: Json;
    try {
      message = JSON.parse(line) as Json;
    } catch {
      this.#socket.destroy();
      this.#close(
        new Fault("E_QMP", "the other end of the socket does not speak QMP", { details: [line.slice(0, 200)] }),
      );
      return;
    }
    if ("event" in message) this.#announce(message);
    else if ("QMP" in message) this.#answer(GREETING, message["QMP"], undefined);
    else this.#answer(message["id"] as number, message["return"], message["error"] as QmpError | undefined);
  }

  #announce(message: Json): void {
    const timestamp = message["timestamp"] as { seconds: number; microseconds: number } | undefined;
    const event: QmpEvent = {
      event: String(message["event"]),
      data: (message["data"] as Json | undefined) ?? {},
      seconds: (timestamp?.seconds ?? 0) + (timestamp?.microseconds ?? 0) / 1e6,
    };
    for (const listener of [...this.#listeners]) listener(event);
  }

  #answer(id: number, value: unknown, error: QmpError | undefined): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    if (error === undefined) pending.resolve(value);
    else {
      const details = [`class ${error.class}`];
      pending.reject(new Fault("E_QMP", `QEMU refused ${pending.command}: ${error.desc}`, { details }));
    }
  }

  #close(cause?: Error): void {
    if (this.#closed !== undefined) return;
    this.#closed = cause instanceof Fault ? cause : goneFault(cause);
    for (const pending of this.#pending.values()) pending.reject(this.#closed);
    this.#pending.clear();
    for (const listener of [...this.#listeners]) listener(undefined);
    this.#listeners.clear();
  }
}

/** Connects to the QMP socket of a machine that another process started. Throws E_QMP. */
export async function connectQmp(path: string, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<Qmp> {
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", (error) => reject(new Fault("E_QMP", `there is no QEMU at ${path}`, { cause: error })));
  });
  return Qmp.over(socket, timeoutMs);
}

function goneFault(cause?: Error): Fault {
  return new Fault("E_QMP", "QEMU closed its control socket", {
    details: cause === undefined ? [] : [cause.message],
    cause,
  });
}

/** The value of the greeting: {"version": {"qemu": {"major": 7, "minor": 2, "micro": 22}}} */
function versionOf(greeting: unknown): string {
  const { version } = greeting as { version?: { qemu?: Record<string, number> } };
  const { major, minor, micro } = version?.qemu ?? {};
  return [major, minor, micro].join(".");
}
