/**
 * A forge for the length of a test: a cache folder of its own that holds the real seed, an empty project, tiny recipes
 * given as values, and all events. Nothing is downloaded: the seed is the one in the user's own store.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { seedBase } from "../../recipes/seed.ts";
import type { Fault } from "../../src/fault/fault.ts";
import type { Elsewhere } from "../../src/forge/elsewhere.ts";
import { evaluate, type Evaluation } from "../../src/forge/evaluate.ts";
import type { ForgeEvent } from "../../src/forge/events.ts";
import { realise, type Outcome, type RealiseOptions } from "../../src/forge/forge.ts";
import type { Channel, Component } from "../../src/recipe/channel.ts";
import type { Digest, Key } from "../../src/recipe/derivation.ts";
import { exists } from "../../src/recipe/proof.ts";
import { recipe, type Output, type Recipe, type RecipeFields, type Seed } from "../../src/recipe/recipe.ts";
import type { Limits } from "../../src/sandbox/limits.ts";
import { loadSeeds } from "../../src/source/channel.ts";
import { mirrorsAt } from "../../src/source/mirror.ts";
import { storePaths } from "../../src/store/paths.ts";
import { removeTree } from "../../src/host/remove-tree.ts";
import { DiskStore } from "../../src/store/disk-store.ts";
import type { Store } from "../../src/store/store.ts";
import type { Wrap } from "./confined.ts";
import type { Job } from "./job.ts";

export const projectRoot = rootAbove(path.dirname(fileURLToPath(import.meta.url)));

function rootAbove(folder: string): string {
  return existsSync(path.join(folder, "package.json")) ? folder : rootAbove(path.dirname(folder));
}

/** A bundled program of the tests by its path below the project, without the ending: "test/forge/driver". */
export function bundled(name: string): string {
  const self = process.argv[1] ?? "";
  const above = self.search(/\/(?:test|bench)\//);
  return path.join(self.slice(0, above), `${name}.mjs`);
}

/** What a test or a finished hook needs of node:test's context. */
export interface Cleanup {
  after(act: () => void): void;
}

/** A folder that is gone after the test. */
export function temporaryFolder(t: Cleanup): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), "anvil-test-"));
  chmodSync(folder, 0o755);
  t.after(() => removeTree(folder));
  return folder;
}

/** A recipe of the seed's shell that proves no more than that its output is not empty. */
export function step(name: string, script: RecipeFields["script"], fields: Partial<RecipeFields> = {}): Recipe {
  return recipe({ name, licence: "0BSD", seed: seedBase, script, proves: [exists("**")], ...fields });
}

/**
 * A user without rights who can read this project (and `also`) and run Node; undefined when the tests are not run by
 * root, and so by such a user anyway, or when everything lies in a folder of root's.
 */
export function nobody(also = "/"): number | undefined {
  const uid = 65534;
  if (process.getuid?.() !== 0) return undefined;
  const look = [process.argv[1], also].map((file) => `require("node:fs").statSync(${JSON.stringify(file)})`).join(";");
  return spawnSync(process.execPath, ["-e", look], { uid, gid: uid, env: {} }).status === 0 ? uid : undefined;
}

export interface RunOptions {
  readonly jobs?: number;
  readonly keepGoing?: boolean;
  readonly mirrors?: readonly string[];
  readonly acceptUnverified?: readonly string[];
  readonly expected?: ReadonlyMap<string, number>;
  readonly limits?: Limits;
  readonly signal?: AbortSignal;
  /** Builds the targets. */
  readonly elsewhere?: Elsewhere;
  /** The rig's own, seen with other eyes. */
  readonly store?: Store;
  readonly on?: (event: ForgeEvent) => void;
}

export interface RigOptions {
  /** Sources that recipes can name. */
  readonly components?: Readonly<Record<string, Component>>;
  /** The seed's files and packages in the rig's own folders: for tests in which the user's home cannot be seen. */
  readonly ownSeed?: boolean;
}

export class Rig {
  readonly top: string;
  readonly project: string;
  readonly store: Store;
  channel: Channel;

  private constructor(top: string, channel: Channel) {
    this.top = top;
    this.project = path.join(top, "project");
    this.store = DiskStore.open(cachePaths(path.join(top, "cache")));
    this.channel = channel;
    mkdirSync(this.project, { recursive: true });
  }

  static async make(t: Cleanup, { components = {}, ownSeed = false }: RigOptions = {}): Promise<Rig> {
    const channel = await testChannel(components);
    const rig = new Rig(temporaryFolder(t), channel);
    plantSeed(rig.store, channel, ownSeed ? linkTree : symlinkSync);
    // what the script of every tree and ingot reads
    rig.projectFile("system/tree/words", readFileSync(path.join(projectRoot, "system/tree/words"), "utf8"));
    return rig;
  }

  evaluate(...targets: readonly Output[]): Evaluation {
    return evaluate(targets, { project: this.project, channel: this.channel, pins: new Map() });
  }

  key(target: Output): Key {
    return this.evaluate(target).targets[0] as Key;
  }

  /** The tree of the seed, which holds bubblewrap. */
  get seedTree(): string {
    return this.store.outputs.path(this.key(seedBase));
  }

  async forge(targets: Output | readonly Output[], options: RunOptions = {}): Promise<Run> {
    return this.realise(this.evaluate(...[targets].flat()), options);
  }

  async realise(evaluation: Evaluation, options: RunOptions = {}): Promise<Run> {
    const events: ForgeEvent[] = [];
    const on = (event: ForgeEvent): void => {
      events.push(event);
      options.on?.(event);
    };
    const { elsewhere: place } = options;
    const elsewhere = place === undefined ? {} : { elsewhere: { place, steps: new Set(evaluation.targets) } };
    const all = realiseOptions(options.store ?? this.store, this.project, { ...options, on });
    const outcome = await realise(evaluation, { ...all, ...elsewhere });
    return new Run(evaluation, outcome, events);
  }

  /** The same in a process of its own, for tests that kill it. */
  spawn(targets: Output | readonly Output[], options: SpawnOptions = {}): ForgeProcess {
    return new ForgeProcess(this, this.evaluate(...[targets].flat()), options);
  }

  /** Writes down what a program of the tests is to realise. */
  jobFile(evaluation: Evaluation, run: Pick<RunOptions, "jobs" | "keepGoing" | "mirrors"> = {}): string {
    const job: Job = {
      cache: this.store.paths.top,
      project: this.project,
      channel: evaluation.channel,
      nodes: [...evaluation.nodes.values()],
      targets: evaluation.targets,
      ...run,
    };
    const folder = mkdtempSync(path.join(this.top, "job-"));
    chmodSync(folder, 0o755);
    writeFileSync(path.join(folder, "job.json"), JSON.stringify(job));
    return path.join(folder, "job.json");
  }

  /** Path of a file in the output of something that is there. */
  output(target: Output, file = "."): string {
    return path.join(this.store.outputs.path(this.key(target)), file);
  }

  read(target: Output, file: string): string {
    return readFileSync(this.output(target, file), "utf8");
  }

  digest(target: Output): Promise<Digest | undefined> {
    return this.store.outputs.digest(this.key(target));
  }

  /** The work folder of a step that runs now, of any process or that of one. */
  workFolder(name: string, process = ""): string {
    const found = readdirSync(this.store.paths.tmp).filter(
      (each) => each.includes(`.${name}-`) && each.startsWith(process),
    );
    if (found.length !== 1) throw new Error(`${found.length} work folders of ${name}`);
    return path.join(this.store.paths.tmp, found[0] as string);
  }

  /** Lets a step go on that waits in `read x < go` for a line in the FIFO /build/go. */
  release(name: string, process?: string): void {
    writeToFifo(path.join(this.workFolder(name, process), "build/go"));
  }

  /** Writes a file of the project and gives its path relative to it. */
  projectFile(name: string, content: string): string {
    const full = path.join(this.project, name);
    mkdirSync(path.dirname(full), { recursive: true });
    writeFileSync(full, content);
    return name;
  }

  /** Gives everything of the rig to another user. Only for root. */
  giveTo(uid: number): void {
    const give = (file: string): void => {
      chownSync(file, uid, uid);
      for (const entry of readdirSync(file, { withFileTypes: true })) {
        // files of the seed may be links to the store of the user who runs the tests: they stay that user's
        if (entry.isDirectory()) give(path.join(file, entry.name));
      }
    };
    give(this.top);
  }
}

/** Waits for whoever reads it. A missing one is an error, not a file to be made. */
export function writeToFifo(file: string): void {
  const fd = openSync(file, constants.O_WRONLY);
  writeSync(fd, "go\n");
  closeSync(fd);
}

/** What a step says to be held: it makes the FIFO, says so, and waits for `rig.release`. */
export const holdHere = `mkfifo /build/go; echo held; read -r line < /build/go`;

export class Run {
  constructor(
    readonly evaluation: Evaluation,
    readonly outcome: Outcome,
    readonly events: readonly ForgeEvent[],
  ) {}

  get ok(): boolean {
    return this.outcome.ok;
  }

  /** Names of what was made, in the order in which it was done. */
  get made(): string[] {
    return this.names("done");
  }

  /** Names of the nodes of all events of this type. */
  names(type: ForgeEvent["type"]): string[] {
    return this.events.flatMap((event) => (event.type === type && "key" in event ? [this.name(event.key)] : []));
  }

  /** The fault of the only node that failed. */
  get fault(): Fault {
    const faults = [...this.outcome.failed.values()];
    if (faults.length !== 1)
      throw new Error(`${faults.length} failures: ${faults.map((fault) => fault.message).join("; ")}`);
    return faults[0] as Fault;
  }

  /** Lines that a step printed. */
  lines(name: string): string[] {
    return this.events.flatMap((event) =>
      event.type === "output" && this.name(event.key) === name ? [event.line] : [],
    );
  }

  name(key: Key): string {
    return this.evaluation.nodes.get(key)?.derivation.name ?? key;
  }
}

export interface SpawnOptions extends Pick<RunOptions, "jobs" | "keepGoing" | "mirrors"> {
  /** Runs the driver with this in front: a sandbox of the seed, for instance. */
  readonly wrap?: Wrap;
  /** Who runs it; root only. */
  readonly uid?: number;
}

/** A driver process. Its events are kept, and can be waited for. */
export class ForgeProcess {
  readonly events: ForgeEvent[] = [];
  readonly child: ChildProcess;
  /** Exit status or signal, once all events are here. */
  readonly ended: Promise<{ readonly status: number | NodeJS.Signals; readonly stderr: string }>;
  private readonly evaluation: Evaluation;
  private readonly waiters: { matches: (event: ForgeEvent) => boolean; resolve: () => void }[] = [];

  constructor(rig: Rig, evaluation: Evaluation, { wrap, uid, ...run }: SpawnOptions) {
    this.evaluation = evaluation;
    const plain = { command: process.execPath, args: [bundled("test/forge/driver"), rig.jobFile(evaluation, run)] };
    const { command, args } = wrap === undefined ? plain : wrap(plain.command, plain.args);
    this.child = spawn(command, args, {
      env: {},
      stdio: ["ignore", "pipe", "pipe"],
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    this.ended = this.watch();
  }

  get made(): string[] {
    return this.events.flatMap((event) => (event.type === "done" ? [this.name(event.key)] : []));
  }

  name(key: Key): string {
    return this.evaluation.nodes.get(key)?.derivation.name ?? key;
  }

  /** Resolves at the first event, past or future, that matches; rejects when the process ends before. */
  async event(matches: (event: ForgeEvent) => boolean): Promise<void> {
    if (this.events.some(matches)) return;
    const seen = new Promise<true>((resolve) => this.waiters.push({ matches, resolve: () => resolve(true) }));
    if (await Promise.race([seen, this.ended.then(() => this.events.some(matches))])) return;
    const { stderr } = await this.ended;
    throw new Error(`the forge ended before: ${JSON.stringify(this.events.slice(-3))} ${stderr}`);
  }

  /** Resolves when the step has printed this line. */
  line(name: string, line: string): Promise<void> {
    return this.event((event) => event.type === "output" && this.name(event.key) === name && event.line === line);
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    this.child.kill(signal);
  }

  private async watch(): Promise<{ status: number | NodeJS.Signals; stderr: string }> {
    const { child } = this;
    const { stdout, stderr } = child;
    if (stdout === null || stderr === null) throw new Error("no pipes");
    const complaint = text(stderr);
    const lines = createInterface({ input: stdout });
    const read = new Promise<void>((resolve) => lines.on("close", resolve));
    lines.on("line", (line) => this.take(line));
    const status = await new Promise<number | NodeJS.Signals>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, signal) => resolve(code ?? signal ?? -1));
    });
    await read;
    return { status, stderr: await complaint };
  }

  private take(line: string): void {
    // a killed process may leave half a line
    if (!line.endsWith("}")) return;
    const event = JSON.parse(line) as ForgeEvent;
    this.events.push(event);
    for (const waiter of this.waiters) if (waiter.matches(event)) waiter.resolve();
  }
}

export function cachePaths(cache: string) {
  return storePaths({ ANVIL_CACHE: cache }, "/");
}

export function realiseOptions(store: Store, project: string, options: RunOptions): RealiseOptions {
  return {
    project,
    store,
    why: "for a test",
    jobs: options.jobs ?? 2,
    keepGoing: options.keepGoing ?? false,
    acceptUnverified: new Set(options.acceptUnverified ?? []),
    mirrors: () => Promise.resolve(mirrorsAt(options.mirrors ?? [])),
    crates: () => Promise.resolve([]),
    onPin: () => {},
    expected: options.expected ?? new Map(),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    signal: options.signal ?? new AbortController().signal,
    on: options.on ?? (() => {}),
  };
}

/** A channel with the real seeds. The time stamp of its steps is 2023-11-14T22:13:20Z. */
export async function testChannel(components: Readonly<Record<string, Component>> = {}): Promise<Channel> {
  const seeds = await loadSeeds(projectRoot);
  return { name: "test", description: "for tests", epoch: 1_700_000_000, components, seeds };
}

/** Puts a seed of the user's store into another. @param place makes the seed's tree in its new place */
export function plantSeed(
  store: Store,
  channel: Channel,
  place: (from: string, to: string) => void,
  seed: Seed = seedBase,
): void {
  const [key] = evaluate([seed], { project: "/", channel, pins: new Map() }).targets as [Key];
  const home = DiskStore.open(storePaths(process.env, os.homedir()));
  const record = home.outputs.record(key);
  if (record === undefined)
    throw new Error(`the seed is not in your store: run \`npx anvil forge seed-${seed.name}\` first`);
  const from = home.outputs.path(key);
  place(from, path.join(store.paths.outputs, path.basename(from)));
  writeFileSync(path.join(store.paths.outputs, `${key}.json`), JSON.stringify(record));
}

/** The packages of the seed, for a test that unpacks it. */
export function plantPackages(store: Store, channel: Channel): void {
  const home = DiskStore.open(storePaths(process.env, os.homedir()));
  for (const { sha256 } of channel.seeds[seedBase.name] ?? []) {
    linkFile(home.sources.path(sha256 as Digest), store.sources.path(sha256 as Digest));
  }
}

/** Folders made again, files as hard links. */
export function linkTree(from: string, to: string): void {
  mkdirSync(to);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [path.join(from, entry.name), path.join(to, entry.name)];
    if (entry.isDirectory()) linkTree(source, target);
    else if (entry.isSymbolicLink()) symlinkSync(readlinkSync(source), target);
    else linkFile(source, target);
  }
}

function linkFile(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    // on another file system
    copyFileSync(from, to);
  }
}
