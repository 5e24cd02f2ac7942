/** A QEMU process that never outlives this one. */
import type { ChildProcess } from "node:child_process";
import { killLaunched, type Bind, type Launcher } from "./launcher.ts";

export interface ProcessEnd {
  /** Undefined when the program could not be spawned at all. */
  readonly pid: number | undefined;
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

const RETAINED_CHARACTERS = 64 << 10;

const running = new Set<QemuProcess>();
let hooked = false;

export class QemuProcess {
  readonly pid: number | undefined;
  /** Resolves when the process has ended and its output was read. Never rejects. */
  readonly ended: Promise<ProcessEnd>;
  readonly #child: ChildProcess;
  readonly #cleanups: (() => void)[] = [];
  #output = "";
  #complaints = "";

  /**
   * @param scratch where QEMU puts the scratch files of snapshot disks
   * @param descriptors of this process, which QEMU has from 3 on
   */
  constructor(
    launcher: Launcher,
    args: readonly string[],
    binds: readonly Bind[],
    scratch: string,
    descriptors: readonly number[] = [],
  ) {
    // a launcher may give its programs an environment of its own
    const command = [`TMPDIR=${scratch}`, "qemu-system-x86_64", ...args];
    this.#child = launcher.start("env", command, binds, { stdio: ["ignore", "pipe", "pipe"], descriptors });
    this.pid = this.#child.pid;
    this.ended = new Promise((resolve) => {
      this.#child.on("error", (error) => (this.#complaints += `${error.message}\n`));
      this.#child.on("close", (status, signal) => {
        this.#cleanUp();
        resolve({ pid: this.pid, status, signal });
      });
    });
    this.#child.stdout?.on("data", (bytes: Buffer) => {
      this.#output = (this.#output + bytes.toString("latin1")).slice(-RETAINED_CHARACTERS);
    });
    this.#child.stderr?.on("data", (bytes: Buffer) => {
      this.#complaints = (this.#complaints + bytes.toString()).slice(-RETAINED_CHARACTERS);
      // QEMU pauses such a guest for ever
      if (this.#complaints.includes("KVM internal error")) this.kill();
    });
    running.add(this);
    if (!hooked) process.on("exit", endAll);
    hooked = true;
  }

  /** What it wrote to standard output, one character per byte. */
  get output(): string {
    return this.#output;
  }

  /** Lines that it wrote to standard error. */
  complaints(): string[] {
    return this.#complaints
      .split("\n")
      .map((line) => line.replace(/^qemu-system-x86_64: /, "").trim())
      .filter((line) => line !== "");
  }

  /** Carries out `action` when the process has ended, or this one exits. */
  atEnd(action: () => void): void {
    this.#cleanups.push(action);
  }

  kill(): void {
    killLaunched(this.#child);
  }

  #cleanUp(): void {
    running.delete(this);
    for (const action of this.#cleanups.splice(0)) action();
  }

  /** Kills and cleans up without waiting, for the last moment of this process. */
  static abandon(qemu: QemuProcess): void {
    qemu.kill();
    qemu.#cleanUp();
  }
}

function endAll(): void {
  for (const qemu of [...running]) QemuProcess.abandon(qemu);
}
