/** Runs one step derivation in the sandbox: stage its files, run the script, prove what it made. */
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { StringDecoder } from "node:string_decoder";
import { Fault } from "../fault/fault.ts";
import type { Key, StepDerivation } from "../recipe/derivation.ts";
import { describeProof } from "../recipe/proof.ts";
import { sandboxCommand, type SandboxSpec } from "../sandbox/sandbox.ts";
import { removeTree, type Store } from "../store/store.ts";
import { prove, type ProofResult } from "./proofs.ts";

export interface StepContext {
  readonly store: Store;
  readonly project: string;
  /** Tree of the seed that holds bubblewrap. */
  readonly bubblewrap: string;
  /** Descriptor of the jobserver's FIFO and the MAKEFLAGS that name it. */
  readonly jobserver: { readonly fd: number; readonly makeflags: string; readonly jobs: number };
  readonly signal: AbortSignal;
  readonly onPhase: (phase: string) => void;
  readonly onLine: (line: string) => void;
  readonly onProof: (result: ProofResult) => void;
}

export interface StepOutcome {
  /** The finished tree, still in the work folder. */
  readonly tree: string;
  readonly work: string;
  /** Processor seconds of the script and all its children. */
  readonly cpu: number | undefined;
  readonly proofs: readonly ProofResult[];
}

/** A step that failed, with the last lines that it printed. */
export class StepFailure extends Error {
  readonly fault: Fault;
  readonly tail: readonly string[];
  constructor(fault: Fault, tail: readonly string[]) {
    super(fault.message);
    this.fault = fault;
    this.tail = tail;
  }
}

export const logFile = (store: Store, key: Key, name: string): string =>
  path.join(store.paths.logs, `${name}-${key.slice(0, 16)}.log`);

/** Where the sandbox of a failed step is kept for `anvil shell`. */
export const failedFolder = (store: Store, key: Key, name: string): string =>
  path.join(store.paths.top, "failed", `${name}-${key.slice(0, 16)}`);

const TAIL_LINES = 30;

/** Throws StepFailure with E_STEP_FAILED, E_PROOF or E_DISK_FULL. */
export async function runStep(key: Key, step: StepDerivation, context: StepContext): Promise<StepOutcome> {
  const { store } = context;
  const work = store.workFolder(step.name);
  const log = logFile(store, key, step.name);
  stage(step, work, context.project);
  context.onPhase("build");
  const tail: string[] = [];
  const status = await runScript(step, work, log, context, (line) => {
    tail.push(line);
    if (tail.length > TAIL_LINES) tail.shift();
    context.onLine(line);
  });
  const fail = (fault: Fault): never => {
    keepFailed(store, key, step, work);
    throw new StepFailure(fault, tail);
  };
  if (status !== 0) {
    if (context.signal.aborted) {
      removeTree(work);
      throw new Fault("E_INTERRUPTED", `${step.name} was interrupted`);
    }
    fail(
      new Fault("E_STEP_FAILED", `${step.name} ${step.version} ended with ${status}`, {
        hint: `anvil shell ${step.name}   opens the sandbox as the failed step left it`,
        log,
      }),
    );
  }
  context.onPhase("prove");
  const tree = path.join(work, "out");
  const proofs = await prove(step.proves, tree, {
    run: (argv) => runInside(step, work, context, argv),
    storePath: store.paths.top,
  });
  proofs.forEach(context.onProof);
  const broken = proofs.filter((result) => !result.ok);
  if (broken.length > 0) {
    const details = broken.flatMap((result) => [`not proven: ${describeProof(result.proof)}`, `  ${result.detail}`]);
    const hint = `anvil shell ${step.name}   opens the sandbox with the output in /out`;
    fail(
      new Fault("E_PROOF", `the output of ${step.name} ${step.version} is not what its recipe says`, {
        details,
        hint,
        log,
      }),
    );
  }
  return { tree, work, cpu: cpuSeconds(path.join(work, "times")), proofs };
}

/** Makes the private folders of a step and copies the project's files into them. */
export function stage(step: StepDerivation, work: string, project: string): void {
  for (const name of ["build", "out", "tmp", "files"]) mkdirSync(path.join(work, name));
  for (const file of step.files) {
    const target = path.join(work, file.at);
    mkdirSync(path.dirname(target), { recursive: true });
    copyFileSync(path.join(project, file.from), target);
    chmodSync(target, file.executable ? 0o755 : 0o644);
  }
  writeFileSync(path.join(work, "times"), "");
  writeFileSync(path.join(work, "step.sh"), `set -euo pipefail\ntrap 'times > /anvil/times' EXIT\n${step.script}`);
}

/** The sandbox of a step whose private folders are in `work`. */
export function stepSandbox(
  step: StepDerivation,
  work: string,
  context: Pick<StepContext, "store" | "bubblewrap">,
): SandboxSpec {
  const { store } = context;
  return {
    bubblewrap: context.bubblewrap,
    root: store.outputPath(step.root),
    binds: [
      ...["build", "out", "tmp"].map((name) => ({ from: path.join(work, name), at: `/${name}`, writable: true })),
      { from: path.join(work, "files"), at: "/files" },
      { from: path.join(work, "step.sh"), at: "/anvil/step.sh" },
      { from: path.join(work, "times"), at: "/anvil/times", writable: true },
      ...step.sources.map(({ at, sha256 }) => ({ from: store.sourcePath(sha256), at })),
      ...step.mounts.map(({ at, key }) => ({ from: store.outputPath(key), at })),
    ],
    env: step.env,
    cwd: "/build",
  };
}

function runScript(
  step: StepDerivation,
  work: string,
  log: string,
  context: StepContext,
  onLine: (line: string) => void,
): Promise<number | string> {
  const { jobserver } = context;
  const sandbox = stepSandbox(step, work, context);
  const env = { ...sandbox.env, MAKEFLAGS: jobserver.makeflags, JOBS: String(jobserver.jobs) };
  const { command, args } = sandboxCommand({ ...sandbox, env }, ["/usr/bin/bash", "--norc", "/anvil/step.sh"]);
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: {}, stdio: ["ignore", "pipe", "pipe", jobserver.fd] });
    const output = openSync(log, "w");
    const stop = (): void => void child.kill("SIGKILL");
    context.signal.addEventListener("abort", stop, { once: true });
    const feeds = [child.stdout, child.stderr].map((stream) => {
      const feed = lineSplitter(onLine);
      stream?.on("data", (data: Buffer) => {
        try {
          writeSync(output, data);
        } catch {
          /* a full disk ends the step by itself; the lines still reach the view */
        }
        feed.push(data);
      });
      return feed;
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      context.signal.removeEventListener("abort", stop);
      feeds.forEach((feed) => feed.end());
      closeSync(output);
      resolve(code === null ? `signal ${signal}` : code === 0 ? 0 : `exit status ${code}`);
    });
  });
}

function lineSplitter(onLine: (line: string) => void): { push(data: Buffer): void; end(): void } {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  return {
    push(data) {
      const lines = (rest + decoder.write(data)).split("\n");
      rest = lines.pop() ?? "";
      lines.forEach(onLine);
    },
    end() {
      if (rest !== "") onLine(rest);
    },
  };
}

/** A program of the output, in the step's sandbox: for proofs. Output is stdout and stderr together. */
async function runInside(
  step: StepDerivation,
  work: string,
  context: StepContext,
  argv: readonly string[],
): Promise<{ status: number; output: string }> {
  const { command, args } = sandboxCommand(stepSandbox(step, work, context), argv);
  const result = spawnSync(command, args, { env: {}, encoding: "utf8", timeout: 120_000 });
  return { status: result.status ?? -1, output: `${result.stdout}${result.stderr}` };
}

function keepFailed(store: Store, key: Key, step: StepDerivation, work: string): void {
  const kept = failedFolder(store, key, step.name);
  mkdirSync(path.dirname(kept), { recursive: true });
  if (existsSync(kept)) removeTree(kept);
  renameSync(work, kept);
}

/** Reads what the shell's `times` printed: its own and its children's user and system time. */
function cpuSeconds(file: string): number | undefined {
  const times = [...readFileSync(file, "utf8").matchAll(/(\d+)m([\d.]+)s/g)];
  if (times.length !== 4) return undefined;
  return times.reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds), 0);
}
