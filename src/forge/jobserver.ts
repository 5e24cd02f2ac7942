/**
 * One pool of job tokens for everything that runs: GNU make's jobserver on a FIFO ("POSIX Jobserver Interaction" in the
 * GNU make manual). A running step holds one token, which is its make's implicit one; further jobs of that make take
 * theirs from the FIFO, whose descriptor every sandbox inherits.
 */
import { spawnSync } from "node:child_process";
import { closeSync, constants, openSync, readSync, rmSync, writeSync } from "node:fs";
import path from "node:path";
import { errno } from "../fault/fault.ts";
import { seedProgram } from "../sandbox/sandbox.ts";

export class Jobserver {
  readonly jobs: number;
  private readonly file: string;
  private readonly own: number;
  private held = 0;

  /** @param seedTree a seed with coreutils: Node cannot make a FIFO by itself */
  constructor(seedTree: string, folder: string, jobs: number) {
    this.jobs = jobs;
    this.file = path.join(folder, "jobserver");
    const { command, args, env } = seedProgram(seedTree, "usr/bin/mkfifo", ["-m", "600", this.file]);
    const made = spawnSync(command, args, { env, encoding: "utf8" });
    if (made.status !== 0) throw asSystemError(made.stderr);
    // non-blocking only on this description; the steps open their own
    this.own = openSync(this.file, constants.O_RDWR | constants.O_NONBLOCK);
    this.put(jobs);
  }

  /** A blocking descriptor to hand to a step as number 3; the caller closes it. */
  openForStep(): number {
    return openSync(this.file, constants.O_RDWR);
  }

  /** What a step finds in MAKEFLAGS. */
  makeflags(): string {
    return `-j${this.jobs} --jobserver-auth=3,3`;
  }

  /** Takes a token for a step if one is free. */
  tryTake(): boolean {
    if (!this.read()) return false;
    this.held += 1;
    return true;
  }

  /** Returns a step's token. When nothing runs, tokens that a killed make kept are made good. */
  give(): void {
    this.held -= 1;
    if (this.held > 0) return this.put(1);
    while (this.read());
    this.put(this.jobs);
  }

  close(): void {
    closeSync(this.own);
    rmSync(this.file, { force: true });
  }

  private put(count: number): void {
    writeSync(this.own, "+".repeat(count));
  }

  private read(): boolean {
    try {
      return readSync(this.own, Buffer.alloc(1)) === 1;
    } catch (error) {
      if (errno(error) === "EAGAIN") return false;
      throw error;
    }
  }
}

/** What mkfifo(1) complains about, as if Node had made the call itself. */
function asSystemError(complaint: string): Error {
  const error = new Error(complaint.trim());
  return complaint.includes("No space left on device") ? Object.assign(error, { code: "ENOSPC" }) : error;
}
