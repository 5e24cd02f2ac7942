/** Runs one step derivation in the sandbox: stage its files, run the script, prove what it made. */
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { StringDecoder } from "node:string_decoder";
import { Fault } from "../fault/fault.ts";
import type { FileMount, Key, StepDerivation } from "../recipe/derivation.ts";
import { describeProof } from "../recipe/proof.ts";
import { prelude } from "../recipe/step.ts";
import { describeLimit, limitMet, limitScript, type Limits } from "../sandbox/limits.ts";
import { spawnSandbox, type SandboxSpec, type SandboxUser } from "../sandbox/sandbox.ts";
import { handOver, letRead } from "../sandbox/user.ts";
import { FIXED_TIME } from "../store/finish.ts";
import type { Store } from "../store/store.ts";
import { walk } from "../store/tree.ts";
import { sha256 } from "./key.ts";
import { prove, type ProofResult } from "./proofs.ts";

export interface StepContext {
  readonly store: Store;
  readonly project: string;
  /** Tree of the seed that holds bubblewrap. */
  readonly bubblewrap: string;
  readonly user: SandboxUser;
  readonly limits: Limits;
  /** Descriptor of the jobserver's FIFO and the MAKEFLAGS that name it. */
  readonly jobserver: { readonly fd: number; readonly makeflags: string; readonly jobs: number };
  readonly signal: AbortSignal;
  /** Deletes a folder beside the rest. */
  readonly discard: (folder: string) => void;
  readonly onPhase: (phase: string) => void;
  readonly onLine: (line: string) => void;
  readonly onProof: (result: ProofResult) => void;
  /** Brings the output of a step that was built elsewhere; the script is not run then. */
  readonly fetch?: (to: string) => Promise<void>;
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

/**
 * Throws StepFailure when the script fails (E_STEP_FAILED) or its output is not what it should be (E_PROOF, E_OUTPUT_UNREADABLE, E_OUTPUT_NAME, E_OUTPUT_FILE_TYPE):
 * then its sandbox is kept. Throws E_FILE_CHANGED and E_INTERRUPTED.
 */
export async function runStep(key: Key, step: StepDerivation, context: StepContext): Promise<StepOutcome> {
  const work = context.store.workFolder(step.name);
  const log = logFile(context.store, key, step.name);
  const { tail, onLine } = keepTail(context.onLine);
  try {
    stage(step, work, context.project, context);
    if (context.fetch === undefined) await build(step, work, log, tail, { ...context, onLine });
    else {
      context.onPhase("fetch");
      await context.fetch(path.join(work, "out"));
    }
    context.onPhase("prove");
    const proofs = await proveOutput(step, work, log, context);
    return { tree: path.join(work, "out"), work, cpu: cpuSeconds(path.join(work, "times")), proofs };
  } catch (error) {
    if (error instanceof Fault && /^E_(?:STEP_FAILED|PROOF|OUTPUT_\w+)$/.test(error.code)) {
      keepFailed(context, key, step, work);
      throw new StepFailure(error, tail);
    }
    context.discard(work);
    throw error;
  }
}

/** Passes lines on and keeps the last ones. */
export function keepTail(pass: (line: string) => void): { tail: string[]; onLine: (line: string) => void } {
  const tail: string[] = [];
  const onLine = (line: string): void => {
    tail.push(line);
    if (tail.length > TAIL_LINES) tail.shift();
    pass(line);
  };
  return { tail, onLine };
}

async function build(
  step: StepDerivation,
  work: string,
  log: string,
  tail: readonly string[],
  context: StepContext,
): Promise<void> {
  context.onPhase("build");
  const end = await runScript(step, work, log, context);
  if (context.signal.aborted) throw new Fault("E_INTERRUPTED", `${step.name} was interrupted`);
  if (end.code !== 0) throw scriptFault(step, end, log, metLimit(context.limits, end, tail));
}

function metLimit(limits: Limits, { code }: End, tail: readonly string[]): string[] {
  const met = limitMet(limits, code, tail);
  return met === undefined ? [] : [`it seems to have met a limit of its sandbox: ${describeLimit(limits, met)}`];
}

function scriptFault(step: StepDerivation, { code, signal }: End, log: string, details: readonly string[]): Fault {
  const failure = code === null ? `signal ${signal}` : `exit status ${code}`;
  return new Fault("E_STEP_FAILED", `${step.name} ${step.version} ended with ${failure}`, {
    details,
    hint: `anvil shell ${step.name}   opens the sandbox as the failed step left it`,
    log,
  });
}

async function proveOutput(
  step: StepDerivation,
  work: string,
  log: string,
  context: StepContext,
): Promise<readonly ProofResult[]> {
  const proofs = await prove(step.proves, path.join(work, "out"), {
    run: (argv) => runInside(step, work, context, argv),
    storePath: context.store.paths.top,
  });
  if (context.signal.aborted) throw new Fault("E_INTERRUPTED", `${step.name} was interrupted`);
  proofs.forEach(context.onProof);
  const broken = proofs.filter((result) => !result.ok);
  if (broken.length === 0) return proofs;
  throw new Fault("E_PROOF", `the output of ${step.name} ${step.version} is not what its recipe says`, {
    details: broken.flatMap((result) => [`not proven: ${describeProof(result.proof)}`, `  ${result.detail}`]),
    hint: `anvil shell ${step.name}   opens the sandbox with the output in /out`,
    log,
  });
}

/**
 * Makes the private folders of a step, gives them to the sandbox's user, and copies the project's files. Throws
 * E_FILE_CHANGED.
 */
export function stage(
  step: StepDerivation,
  work: string,
  project: string,
  { user, limits }: Pick<StepContext, "user" | "limits">,
): void {
  for (const name of ["build", "out", "tmp", "files"]) makeFolder(path.join(work, name));
  for (const file of step.files) stageFile(file, path.join(work, file.at), project);
  for (const { full } of walk(path.join(work, "files"))) utimesSync(full, FIXED_TIME, FIXED_TIME);
  writeFileSync(path.join(work, "times"), "");
  writeFileSync(path.join(work, "step.sh"), `${limitScript(limits)}${prelude}${step.script}`);
  chmodSync(path.join(work, "step.sh"), 0o644);
  handOver(
    user,
    ["build", "out", "tmp", "times"].map((name) => path.join(work, name)),
  );
}

/** The key was made from the file as it was; bytes that were changed since would be stored under the wrong key. */
function stageFile(file: FileMount, target: string, project: string): void {
  const bytes = readFileSync(path.resolve(project, file.from));
  if (sha256(bytes) !== file.sha256)
    throw new Fault("E_FILE_CHANGED", `${file.from} was changed while the forge ran`, {
      hint: "start again: what was built with the file as it is now is taken over",
    });
  makeFolder(path.dirname(target));
  writeFileSync(target, bytes);
  chmodSync(target, file.executable ? 0o755 : 0o644);
}

/** With the same permissions whatever the umask. */
function makeFolder(folder: string): void {
  const first = mkdirSync(folder, { recursive: true });
  for (let made = folder; first !== undefined && made.startsWith(first); made = path.dirname(made))
    chmodSync(made, 0o755);
}

/** The sandbox of a step whose private folders are in `work`. */
export function stepSandbox(
  step: StepDerivation,
  work: string,
  context: Pick<StepContext, "store" | "bubblewrap" | "user" | "limits">,
): SandboxSpec {
  const { store } = context;
  return {
    bubblewrap: context.bubblewrap,
    user: context.user,
    limits: context.limits,
    root: store.outputs.path(step.root),
    binds: [
      ...["build", "out", "tmp"].map((name) => ({ from: path.join(work, name), at: `/${name}`, writable: true })),
      { from: path.join(work, "files"), at: "/files" },
      { from: path.join(work, "step.sh"), at: "/anvil/step.sh" },
      { from: path.join(work, "times"), at: "/anvil/times", writable: true },
      ...step.sources.map(({ at, sha256 }) => ({ from: store.sources.path(sha256), at })),
      ...step.mounts.map(({ at, key }) => ({ from: store.outputs.path(key), at })),
    ],
    env: step.env,
    cwd: "/build",
  };
}

async function runScript(step: StepDerivation, work: string, log: string, context: StepContext): Promise<End> {
  const { store, user } = context;
  letRead(
    user,
    step.sources.map(({ sha256 }) => store.sources.path(sha256)),
  );
  const { jobserver, signal } = context;
  const sandbox = stepSandbox(step, work, context);
  const env = { ...sandbox.env, MAKEFLAGS: jobserver.makeflags, JOBS: String(jobserver.jobs) };
  const output = new StepOutput(log, context.onLine);
  try {
    return await runIn({ ...sandbox, env, setsLimits: true }, ["/usr/bin/bash", "--norc", "/anvil/step.sh"], {
      signal,
      descriptor: jobserver.fd,
      onData: (stream, data) => output.take(stream, data),
    });
  } finally {
    output.close();
  }
}

/** What a step prints: into its log as it comes, and line by line to whoever looks. */
export class StepOutput {
  readonly #log: number;
  readonly #feeds: readonly [LineSplitter, LineSplitter];

  constructor(log: string, onLine: (line: string) => void) {
    this.#log = openSync(log, "w", 0o600);
    this.#feeds = [lineSplitter(onLine), lineSplitter(onLine)];
  }

  /** @param stream 0 for stdout, 1 for stderr */
  take(stream: 0 | 1, data: Buffer): void {
    try {
      writeSync(this.#log, data);
    } catch {
      /* a full disk ends the step by itself; the lines still reach the view */
    }
    this.#feeds[stream].push(data);
  }

  close(): void {
    this.#feeds.forEach((feed) => feed.end());
    closeSync(this.#log);
  }
}

interface RunOptions {
  readonly signal: AbortSignal;
  /** Becomes descriptor 3. */
  readonly descriptor?: number;
  /** Milliseconds after which it is killed. */
  readonly limit?: number;
  /** @param stream 0 for stdout, 1 for stderr */
  readonly onData: (stream: 0 | 1, data: Buffer) => void;
}

interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Runs a command in a sandbox. The signal kills all that it started. */
function runIn(spec: SandboxSpec, argv: readonly string[], options: RunOptions): Promise<End> {
  const { signal, descriptor, limit, onData } = options;
  if (signal.aborted) return Promise.resolve({ code: null, signal: "SIGKILL" });
  return new Promise((resolve, reject) => {
    const child = spawnSandbox(
      spec,
      argv,
      { stdio: ["ignore", "pipe", "pipe"], descriptors: descriptor === undefined ? [] : [descriptor] },
      limit === undefined ? {} : { timeout: limit },
    );
    const stop = (): void => void child.kill("SIGKILL");
    signal.addEventListener("abort", stop, { once: true });
    child.stdout?.on("data", (data: Buffer) => onData(0, data));
    child.stderr?.on("data", (data: Buffer) => onData(1, data));
    child.on("error", reject);
    child.on("close", (code, killer) => {
      signal.removeEventListener("abort", stop);
      resolve({ code, signal: killer });
    });
  });
}

/** Characters after which a line is broken: a program may never end it. */
const LONGEST_LINE = 1 << 16;

interface LineSplitter {
  push(data: Buffer): void;
  end(): void;
}

function lineSplitter(onLine: (line: string) => void): LineSplitter {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  return {
    push(data) {
      const lines = (rest + decoder.write(data)).split("\n");
      rest = lines.pop() ?? "";
      lines.forEach(onLine);
      if (rest.length > LONGEST_LINE) {
        onLine(rest);
        rest = "";
      }
    },
    end() {
      if (rest !== "") onLine(rest);
    },
  };
}

/** Milliseconds that a program has to say its version. */
const PROOF_LIMIT = 120_000;
/** Bytes of its output that are looked at. */
const PROOF_OUTPUT = 1 << 20;

/** A program of the output, in the step's sandbox but with the output read-only. */
async function runInside(
  step: StepDerivation,
  work: string,
  context: StepContext,
  argv: readonly string[],
): Promise<{ status: number; output: string }> {
  const sandbox = stepSandbox(step, work, context);
  const binds = sandbox.binds.map(({ from, at, writable }) => ({
    from,
    at,
    writable: writable === true && at !== "/out",
  }));
  const chunks: Buffer[] = [];
  let length = 0;
  const { code } = await runIn({ ...sandbox, binds }, argv, {
    signal: context.signal,
    limit: PROOF_LIMIT,
    onData: (_, data) => {
      if (length < PROOF_OUTPUT) chunks.push(data);
      length += data.length;
    },
  });
  return { status: code ?? -1, output: Buffer.concat(chunks).toString("utf8") };
}

function keepFailed({ store, discard }: StepContext, key: Key, step: StepDerivation, work: string): void {
  const kept = failedFolder(store, key, step.name);
  mkdirSync(path.dirname(kept), { recursive: true });
  if (existsSync(kept)) {
    const old = path.join(store.workFolder("old"), "failed");
    renameSync(kept, old);
    discard(path.dirname(old));
  }
  renameSync(work, kept);
}

/** Reads what the shell's `times` printed: its own and its children's user and system time. */
function cpuSeconds(file: string): number | undefined {
  const times = [...readFileSync(file, "utf8").matchAll(/(\d+)m([\d.]+)s/g)];
  if (times.length !== 4) return undefined;
  return times.reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds), 0);
}
