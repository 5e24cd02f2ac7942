/** An interactive session on a machine's serial port. */
import type { Readable, Writable } from "node:stream";
import { errno } from "../fault/fault.ts";
import type { Machine, MachineExit } from "./machine.ts";

export interface AttachOptions {
  /** process.stdin, or any stream. */
  readonly input: Readable & { readonly isTTY?: boolean; setRawMode?(raw: boolean): unknown };
  /** process.stdout, or any stream. */
  readonly output: Writable;
  /** The ASCII character that powers the machine off; pressed again, it ends it at once. Default: Ctrl-]. */
  readonly leaveKey?: string;
  /** How long the guest may take to shut itself down after the key, milliseconds. Then it is killed. Default 30 s. */
  readonly graceMs?: number;
}

export interface AttachResult {
  /** "guest": the machine ended by itself; "key": the key was pressed; else the output was closed, or a signal came. */
  readonly left: "guest" | "key" | "output closed" | NodeJS.Signals;
  readonly exit: MachineExit;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Joins a terminal to the serial port; what the guest wrote before is shown first. The terminal is raw meanwhile, so that
 * Ctrl-C and the like reach the guest, and is as before afterwards, whatever happens. Returns when the machine has ended.
 * The end of a piped input does not end it.
 */
export function attach(machine: Machine, options: AttachOptions): Promise<AttachResult> {
  return new Session(machine, options).run();
}

class Session {
  readonly #machine: Machine;
  readonly #input: AttachOptions["input"];
  readonly #output: Writable;
  readonly #key: string;
  readonly #graceMs: number;
  #left: AttachResult["left"] = "guest";
  #leaving = false;
  #attached = true;

  constructor(machine: Machine, options: AttachOptions) {
    this.#machine = machine;
    this.#input = options.input;
    this.#output = options.output;
    this.#key = options.leaveKey ?? "\x1d";
    this.#graceMs = options.graceMs ?? 30_000;
  }

  async run(): Promise<AttachResult> {
    const { serial, name } = this.#machine;
    this.#show(`[serial port of ${name}; ${keyName(this.#key)} powers the machine off and leaves]\r\n`);
    this.#show(serial.lines().join("\r\n"));
    const stopShowing = serial.onData((bytes) => this.#show(bytes));
    this.#listen();
    try {
      const exit = await this.#machine.wait();
      this.#notice(`${name} has ended: ${exit.reason}`);
      return { left: this.#left, exit };
    } finally {
      stopShowing();
      this.#unlisten();
    }
  }

  #listen(): void {
    this.#output.on("error", this.#onOutputError);
    this.#input.on("error", this.#onInputError);
    this.#input.on("data", this.#onInput);
    this.#setRaw(true);
    this.#input.resume();
    process.on("exit", this.#restore);
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
  }

  #unlisten(): void {
    this.#attached = false;
    this.#restore();
    process.off("exit", this.#restore);
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
    this.#input.off("data", this.#onInput);
    this.#input.pause();
    this.#input.off("error", this.#onInputError);
    this.#output.off("error", this.#onOutputError);
  }

  readonly #onInput = (data: Buffer | string): void => {
    const [typed = "", ...presses] = Buffer.from(data).toString("latin1").split(this.#key);
    if (typed !== "" && !this.#leaving) this.#type(Buffer.from(typed, "latin1"));
    for (const _ of presses) this.#leave();
  };

  #type(bytes: Buffer): void {
    const taken = this.#machine.serial.write(bytes);
    // a guest reads slowly; a terminal is never paused, for the key must always work
    if (this.#input.isTTY === true) return;
    this.#input.pause();
    void taken.then(() => this.#attached && this.#input.resume());
  }

  #leave(): void {
    if (this.#leaving) {
      void this.#machine.kill();
      return;
    }
    this.#leaving = true;
    this.#left = "key";
    this.#notice(`powering off; ${keyName(this.#key)} again ends ${this.#machine.name} at once`);
    void this.#powerOff();
  }

  /** Asks the guest first, so that its file systems are whole. */
  async #powerOff(): Promise<void> {
    try {
      await this.#machine.powerdown({ timeoutMs: this.#graceMs / this.#machine.timeScale });
    } catch (error) {
      if (errno(error) === "E_VM_TIMEOUT") this.#notice("the guest does not shut itself down; ending it");
      await this.#machine.kill();
    }
  }

  readonly #onSignal = (signal: NodeJS.Signals): void => this.#end(signal);
  readonly #onOutputError = (): void => this.#end("output closed");
  readonly #onInputError = (): void => undefined; // a terminal that is gone also sends SIGHUP
  readonly #restore = (): void => this.#setRaw(false);

  #end(left: AttachResult["left"]): void {
    this.#left = left;
    void this.#machine.kill();
  }

  #setRaw(raw: boolean): void {
    if (this.#input.isTTY === true) this.#input.setRawMode?.(raw);
  }

  #show(text: string | Buffer): void {
    if (this.#output.writable) this.#output.write(text);
  }

  #notice(text: string): void {
    this.#show(`\r\n[${text}]\r\n`);
  }
}

/** "Ctrl-]" for "\x1d": control characters are the letter's code minus 64. */
function keyName(key: string): string {
  const code = key.charCodeAt(0);
  return code < 32 ? `Ctrl-${String.fromCharCode(code + 64)}` : key;
}
