/**
 * Realises an evaluation: everything that its targets need and the store does not have. One promise per node; what is
 * present is not looked into further, so a warm store reads no sources. Emits events, prints nothing.
 */
import { spawn } from "node:child_process";
import { setMaxListeners } from "node:events";
import {
  closeSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { errno, Fault } from "../fault/fault.ts";
import type {
  CpioDerivation,
  Digest,
  FetchDerivation,
  Key,
  SeedDerivation,
  StepDerivation,
} from "../recipe/derivation.ts";
import { describeProof } from "../recipe/proof.ts";
import { defaultLimits, type Limits } from "../sandbox/limits.ts";
import { openSandbox, seedProgram, type SandboxUser } from "../sandbox/sandbox.ts";
import { download } from "../source/fetch.ts";
import { unpackDebs } from "../source/unpack.ts";
import { describeOwner, isElsewhere } from "../host/owner.ts";
import { draftOf } from "../host/replace-file.ts";
import { checkCache, networkWarning, otherMachine } from "../store/fitness.ts";
import type { Lock } from "../store/lock.ts";
import { walk } from "../store/tree.ts";
import { removeTree, writeFault, type Origin, type OutputRecord, type Store } from "../store/store.ts";
import { checkSource } from "./check-source.ts";
import { writeCpio } from "./cpio.ts";
import { seedFor, type Evaluation, type Node } from "./evaluate.ts";
import { differences, type Elsewhere, type Listing } from "./elsewhere.ts";
import type { EventBody, Listener, PlanNode } from "./events.ts";
import { Jobserver } from "./jobserver.ts";
import { lockNames, placesOf, supersededHint, type NameOf, type Places } from "./places.ts";
import { failedFolder, keepTail, logFile, runStep, StepFailure, StepOutput } from "./step.ts";

export interface RealiseOptions extends Places {
  readonly project: string;
  readonly store: Store;
  /** Why this channel was chosen, for the first line. */
  readonly why: string;
  /** Job tokens: how many processes may compute at once. */
  readonly jobs: number;
  /** Of each step. Default: `defaultLimits`. */
  readonly limits?: Limits;
  /** Go on with what does not depend on a failed node. Otherwise what runs is finished and nothing new is started. */
  readonly keepGoing: boolean;
  readonly acceptUnverified: ReadonlySet<string>;
  /** What the user should know before anything is done. */
  readonly notices?: readonly string[];
  /** A source without a pin was accepted and has this hash; the caller keeps it and evaluates again. */
  readonly onPin: (component: string, sha256: Digest) => void;
  /** Expected seconds by derivation name, from the last run. */
  readonly expected: ReadonlyMap<string, number>;
  /**
   * Where some steps are built. They are built there also when they are in the store: then what is there must be the same,
   * else E_OUTPUT_DIFFERS.
   */
  readonly elsewhere?: { readonly place: Elsewhere; readonly steps: ReadonlySet<Key> };
  readonly signal: AbortSignal;
  readonly on: Listener;
}

export interface Outcome {
  readonly ok: boolean;
  readonly built: readonly Key[];
  readonly failed: ReadonlyMap<Key, Fault>;
}

const DOWNLOADS = 4;

/** Entries that are named when an output differs from what another place made of the same derivation. */
const DIFFERENCES_SHOWN = 20;

/** Free bytes below which a failure is taken for the full disk's: by itself, and when the step speaks of it. */
const FULL = 1 << 20;
const ALMOST_FULL = 1 << 28;

/** What would have to be made, in evaluation order. */
export function missing(evaluation: Evaluation, store: Store): Node[] {
  const wanted = new Set<Key>();
  const visit = (key: Key): void => {
    if (wanted.has(key)) return;
    const node = evaluation.nodes.get(key) as Node;
    if (isPresent(node, store)) return;
    wanted.add(key);
    node.needs.forEach(visit);
  };
  evaluation.targets.forEach(visit);
  return [...evaluation.nodes.values()].filter((node) => wanted.has(node.key));
}

/** Files that would have to be downloaded. */
export function missingFetches(evaluation: Evaluation, store: Store): FetchDerivation[] {
  return missing(evaluation, store).flatMap(({ derivation }) => (derivation.kind === "fetch" ? [derivation] : []));
}

function isPresent({ key, derivation }: Node, store: Store): boolean {
  if (derivation.kind !== "fetch") return store.has(key);
  return derivation.sha256 !== undefined && store.hasSource(derivation.sha256);
}

export function realise(evaluation: Evaluation, options: RealiseOptions): Promise<Outcome> {
  return new Realisation(evaluation, options).run();
}

class Realisation {
  private readonly evaluation: Evaluation;
  private readonly options: RealiseOptions;
  private readonly store: Store;
  private readonly started = performance.now();
  private readonly promises = new Map<Key, Promise<boolean>>();
  /** Whether what is in the store has the bytes that its record says, once somebody needed it. */
  private readonly usable = new Map<Key, Promise<boolean>>();
  private readonly built: Key[] = [];
  private readonly failed = new Map<Key, Fault>();
  private readonly priorities = new Map<Key, number>();
  private readonly tokenQueue: { readonly key: Key; readonly grant: () => void; told: boolean }[] = [];
  private readonly ownTokens: { used: number };
  private readonly discards: Promise<unknown>[] = [];
  /** Work folders of forges that were killed, until there is a seed to delete them with. */
  private abandoned: readonly string[] = [];
  private downloads = 0;
  private readonly downloadQueue: (() => void)[] = [];
  private lockNames: NameOf | undefined;
  private jobserver: Jobserver | undefined;
  private sandboxes: Promise<{ readonly jobserver: Jobserver; readonly user: SandboxUser }> | undefined;
  private bubblewrapTree: string | undefined;
  private jobserverFolder: string | undefined;
  private poll: NodeJS.Timeout | undefined;
  private granting: NodeJS.Immediate | undefined;

  constructor(evaluation: Evaluation, options: RealiseOptions) {
    this.evaluation = evaluation;
    this.options = options;
    this.store = options.store;
    this.ownTokens = { used: 0 };
  }

  async run(): Promise<Outcome> {
    const { evaluation, options } = this;
    // one listener per running step and download
    setMaxListeners(0, options.signal);
    const elsewhere = options.elsewhere?.steps ?? [];
    const todo = new Set([...missing(evaluation, this.store).map((node) => node.key), ...elsewhere]);
    this.emit({
      type: "plan",
      channel: evaluation.channel.name,
      why: options.why,
      jobs: options.jobs,
      nodes: [...evaluation.nodes.values()].map((node) => planNode(node, !todo.has(node.key))),
    });
    for (const text of options.notices ?? []) this.emit({ type: "notice", text });
    if (todo.size > 0) this.prepare();
    this.abandoned = await this.store.abandoned();
    await Promise.all(evaluation.targets.map((key) => this.ensure(key)));
    if (this.poll !== undefined) clearInterval(this.poll);
    this.jobserver?.close();
    this.discardAbandoned();
    await Promise.all(this.discards);
    if (this.jobserverFolder !== undefined) removeTree(this.jobserverFolder);
    const ok = this.failed.size === 0 && !options.signal.aborted;
    const reused = evaluation.nodes.size - todo.size;
    this.emit({ type: "end", ok, built: this.built.length, reused, failed: this.failed.size });
    return { ok, built: this.built, failed: this.failed };
  }

  /** There is something to do. Throws E_CACHE_NOEXEC and E_CACHE_FILE_SYSTEM, and what a disk can refuse. */
  private prepare(): void {
    const { top } = this.store.paths;
    try {
      checkCache(this.store);
    } catch (error) {
      throw writeFault(error, top);
    }
    const warning = networkWarning(top);
    if (warning !== undefined) this.emit({ type: "notice", text: warning });
  }

  /** True when the node's output is in the store at the end. */
  private ensure(key: Key): Promise<boolean> {
    let promise = this.promises.get(key);
    if (promise === undefined) {
      promise = this.make(this.node(key));
      this.promises.set(key, promise);
    }
    return promise;
  }

  private async make(node: Node): Promise<boolean> {
    if (this.isDone(node)) return true;
    const results = await Promise.all(node.needs.map((need) => this.ensure(need)));
    const broken = node.needs.find((_, index) => !results[index]);
    if (broken !== undefined) {
      if (!this.options.signal.aborted) this.emit({ type: "skipped", key: node.key, because: broken });
      return false;
    }
    if (this.stopping()) return false;
    try {
      const damaged = await this.damagedInput(node);
      if (damaged !== undefined) {
        if (!this.options.signal.aborted) this.emit({ type: "skipped", key: node.key, because: damaged });
        return false;
      }
      await this.produce(node);
      return true;
    } catch (error) {
      this.fail(node, error);
      return false;
    }
  }

  private isDone(node: Node): boolean {
    return this.placeOf(node.key) === undefined && isPresent(node, this.store);
  }

  /** Where the step is built, if not here. */
  private placeOf(key: Key): Elsewhere | undefined {
    const { elsewhere } = this.options;
    return elsewhere?.steps.has(key) === true ? elsewhere.place : undefined;
  }

  private stopping(): boolean {
    return this.options.signal.aborted || (this.failed.size > 0 && !this.options.keepGoing);
  }

  private fail(node: Node, error: unknown): void {
    if (this.options.signal.aborted) return;
    const tail = error instanceof StepFailure ? error.tail : [];
    const cause = error instanceof StepFailure ? error.fault : writeFault(error, this.store.paths.top);
    if (!(cause instanceof Fault)) throw cause;
    if (cause.code === "E_INTERRUPTED") return;
    const full = this.diskIsFull(tail);
    // what the step left is of no use then, and its space is needed
    if (full && error instanceof StepFailure) this.discard(failedFolder(this.store, node.key, node.derivation.name));
    const fault = full ? diskFull(cause, this.store.paths.top) : cause;
    this.failed.set(node.key, fault);
    this.emit({ type: "failed", key: node.key, fault, tail });
  }

  /** A step on a full disk fails in its own words, and some steps tidy up before they end. */
  private diskIsFull(tail: readonly string[]): boolean {
    const { bavail, bsize, ffree, files } = statfsSync(this.store.paths.top);
    const free = bavail * bsize;
    const said = tail.some((line) => line.includes("No space left on device"));
    return free < (said ? ALMOST_FULL : FULL) || (files > 0 && ffree === 0);
  }

  /** Hashes each input once per run before it is used. The result is one that is damaged and could not be made again. */
  private async damagedInput(node: Node): Promise<Key | undefined> {
    for (const need of node.needs) {
      let usable = this.usable.get(need);
      if (usable === undefined) this.usable.set(need, (usable = this.checkOrMend(this.node(need))));
      if (!(await usable)) return need;
    }
    return undefined;
  }

  private async checkOrMend(node: Node): Promise<boolean> {
    if (await this.isSound(node)) return true;
    const { key, derivation } = node;
    const lock = await this.takeLock(node);
    try {
      // another forge may have found it too, and have made it again meanwhile
      if (await this.isSound(node)) return true;
      this.emit({ type: "notice", text: `${derivation.name} in the store is damaged: making it again` });
      if (derivation.kind === "fetch") this.store.removeSource(derivation.sha256 as Digest);
      else this.store.remove(key);
    } finally {
      lock.release();
    }
    this.promises.delete(key);
    return this.ensure(key);
  }

  private isSound({ key, derivation }: Node): boolean | Promise<boolean> {
    if (derivation.kind !== "fetch") return this.store.isSound(key);
    return this.store.isSourceSound(derivation.sha256 as Digest);
  }

  /** Makes the node, or waits for the forge that does. Its lock is only held while there is also a token for it. */
  private async produce(node: Node): Promise<void> {
    for (;;) {
      await this.takeTurn(node);
      try {
        if (this.stopping()) throw new Fault("E_INTERRUPTED", "not started");
        // another forge may have made it while this one waited
        if (this.isDone(node)) return;
        const lock = await this.store.lock(node.key);
        if ("release" in lock) return await this.underLock(node, lock);
      } finally {
        this.endTurn(node);
      }
      await this.otherForge(node);
    }
  }

  private async underLock(node: Node, lock: Lock): Promise<void> {
    try {
      if (this.isDone(node)) return;
      const { derivation } = node;
      switch (derivation.kind) {
        case "fetch":
          return await this.fetch(node.key, derivation);
        case "seed":
          return await this.unpackSeed(node, derivation);
        case "cpio":
          return await this.packCpio(node, derivation);
        case "step":
          return await this.runStep(node, derivation);
      }
    } finally {
      lock.release();
    }
  }

  private async takeLock(node: Node): Promise<Lock> {
    for (;;) {
      const lock = await this.store.lock(node.key);
      if ("release" in lock) return lock;
      await this.otherForge(node);
    }
  }

  /** Returns when no other forge works on the node any more. */
  private async otherForge({ key }: Node): Promise<void> {
    for (let told = false; ; told = true) {
      const holder = await this.store.lockHolder(key);
      if (holder === undefined) return;
      if (isElsewhere(holder))
        throw otherMachine(path.join(this.store.paths.locks, key), this.node(key).derivation.name);
      if (!told) this.emit({ type: "waiting", key, on: "lock", detail: describeOwner(holder) });
      await sleep(100);
      if (this.options.signal.aborted) throw new Fault("E_INTERRUPTED", "interrupted");
    }
  }

  private async fetch(key: Key, fetch: FetchDerivation): Promise<void> {
    if (fetch.unverified !== undefined && !this.options.acceptUnverified.has(fetch.name))
      throw new Fault("E_UNVERIFIED", `the pin of ${fetch.name} ${fetch.version} is doubtful`, {
        details: [fetch.unverified, ...fetch.urls],
        hint: `check it, then: anvil forge --accept-unverified ${fetch.name}`,
      });
    const started = performance.now();
    this.emit({ type: "start", key, log: undefined });
    const to = this.store.sourcePath(fetch.sha256 ?? (`unpinned-${key}` as Digest));
    this.lockNames ??= lockNames(this.evaluation.channel);
    const pin = fetch.urls.length === 0 ? this.lockNames(fetch) : undefined;
    const result = await download({
      name: fetch.file,
      urls: await placesOf(fetch, this.options),
      supersededHint: pin === undefined ? undefined : supersededHint([pin]),
      sha256: fetch.sha256,
      size: fetch.size,
      to,
      signal: this.options.signal,
      onProgress: (bytes, total) => this.emit({ type: "progress", key, bytes, total }),
      onRetry: (url, why) => this.emit({ type: "retry", key, url, why }),
    });
    if (fetch.sha256 === undefined) {
      const found = result.sha256 as Digest;
      renameSync(to, this.store.sourcePath(found));
      this.options.onPin(fetch.name, found);
    }
    // hashed a moment ago while it came in
    this.usable.set(key, Promise.resolve(true));
    this.done(key, started, undefined, result.size);
  }

  private async unpackSeed(node: Node, seed: SeedDerivation): Promise<void> {
    const started = performance.now();
    this.emit({ type: "start", key: node.key, log: undefined });
    const packages = seed.packages.map(({ sha256 }) => this.store.sourcePath(sha256));
    const { bytes } = await this.inWorkFolder(seed.name, async (tree) => {
      await unpackDebs(packages, tree, { signal: this.options.signal });
      addAccounts(tree);
      return this.add(node, tree, started, []);
    });
    this.done(node.key, started, undefined, bytes);
  }

  private async packCpio(node: Node, cpio: CpioDerivation): Promise<void> {
    const started = performance.now();
    this.emit({ type: "start", key: node.key, log: undefined });
    const { bytes } = await this.inWorkFolder(cpio.name, async (tree) => {
      await writeCpio(this.store.outputPath(cpio.tree), path.join(tree, `${cpio.name}.cpio`), cpio.epoch);
      return this.add(node, tree, started, []);
    });
    this.done(node.key, started, undefined, bytes);
  }

  private async runStep(node: Node, step: StepDerivation): Promise<void> {
    const started = performance.now();
    const { key } = node;
    // looked at a moment ago, which the first seed in the store was perhaps not
    this.bubblewrapTree ??= this.store.outputPath(seedFor(this.evaluation, node));
    const { jobserver, user } = await this.openSandboxes();
    const log = logFile(this.store, key, step.name);
    // a new file: others could read one of an earlier version
    rmSync(log, { force: true });
    this.emit({ type: "start", key, log });
    const place = this.placeOf(key);
    const listing = place === undefined ? undefined : await this.buildIn(place, key, step, log);
    if (place !== undefined && listing !== undefined && this.store.has(key)) {
      this.compare(key, step, place, listing);
      return this.done(key, started, undefined, this.store.record(key)?.bytes ?? 0);
    }
    if (listing === undefined && step.sources.length > 0) {
      this.emit({ type: "phase", key, phase: "check sources" });
      for (const { at, sha256 } of step.sources)
        await checkSource(this.store, sha256, path.basename(at), this.bubblewrap(), user);
    }
    const fd = jobserver.openForStep();
    const run = runStep(key, step, {
      store: this.store,
      project: this.options.project,
      bubblewrap: this.bubblewrap(),
      user,
      limits: this.options.limits ?? defaultLimits(),
      jobserver: { fd, makeflags: jobserver.makeflags(), jobs: jobserver.jobs },
      signal: this.options.signal,
      discard: (folder) => this.discard(folder),
      onPhase: (phase) => this.emit({ type: "phase", key, phase }),
      onLine: (line) => this.emit({ type: "output", key, line }),
      onProof: ({ proof, ok, detail }) => this.emit({ type: "proof", key, proof: describeProof(proof), ok, detail }),
      ...(listing === undefined ? {} : { fetch: async (to) => place?.fetch(step.name, listing, to) }),
    });
    const outcome = await run.finally(() => closeSync(fd));
    this.emit({ type: "phase", key, phase: "store" });
    const proofs = outcome.proofs.map(({ proof, detail }) => ({ proof: describeProof(proof), detail }));
    const { bytes } = await this.add(node, outcome.tree, started, proofs).finally(() => this.discard(outcome.work));
    this.done(key, started, outcome.cpu, bytes);
  }

  /** What the step made in the other place. Throws StepFailure when it failed there. */
  private async buildIn(place: Elsewhere, key: Key, step: StepDerivation, log: string): Promise<Listing> {
    this.emit({ type: "phase", key, phase: `build in ${place.name}` });
    const { tail, onLine } = keepTail((line) => this.emit({ type: "output", key, line }));
    const output = new StepOutput(log, onLine);
    try {
      return await place.build(step.name, (bytes) => output.take(0, bytes));
    } catch (error) {
      if (error instanceof Fault && error.code === "E_STEP_FAILED") throw new StepFailure(error, tail);
      throw error;
    } finally {
      output.close();
    }
  }

  /** Throws E_OUTPUT_DIFFERS. */
  private compare(key: Key, { name, version }: StepDerivation, place: Elsewhere, listing: Listing): void {
    this.emit({ type: "phase", key, phase: "compare" });
    const differing = differences(this.store.outputPath(key), listing);
    if (differing.length > 0)
      throw new Fault("E_OUTPUT_DIFFERS", `${name} ${version} as ${place.name} built it is not what the store has`, {
        details: differing.slice(0, DIFFERENCES_SHOWN),
        hint: `${differing.length} entries differ; both were made by the same derivation, so one of the two builds is not reproducible`,
      });
    const proof = `the same as built in ${place.name}`;
    this.emit({ type: "proof", key, proof, ok: true, detail: `${listing.size} entries` });
  }

  /** Gives an empty folder for an output to the work, and deletes what is left of it. */
  private async inWorkFolder<T>(name: string, work: (tree: string) => Promise<T>): Promise<T> {
    const folder = this.store.workFolder(name);
    try {
      const tree = path.join(folder, "out");
      mkdirSync(tree);
      return await work(tree);
    } finally {
      removeTree(folder);
    }
  }

  private async add(node: Node, tree: string, started: number, proofs: OutputRecord["proofs"]): Promise<OutputRecord> {
    const { key, derivation, needs } = node;
    const origin = this.origin(node);
    const record = await this.store.add(tree, {
      key,
      name: derivation.name,
      version: derivation.version,
      seconds: (performance.now() - started) / 1000,
      proofs,
      references: needs.map((need) => this.reference(need)),
      ...(origin === undefined ? {} : { origin }),
    });
    this.usable.set(key, Promise.resolve(true));
    if (origin === undefined) this.compareElsewhere(record);
    return record;
  }

  /** Of what is made in another place, or from what was. */
  private origin({ key, needs }: Node): Origin | undefined {
    const place = this.placeOf(key);
    const inherited = needs.map((need) => this.store.record(need)?.origin).filter((origin) => origin !== undefined);
    const names = [...(place === undefined ? [] : [place.for]), ...inherited.flatMap((origin) => origin.for)];
    const [first] = inherited;
    const where = place?.name ?? first?.place;
    return where === undefined ? undefined : { place: where, for: [...new Set(names)].sort() };
  }

  /** What another place made of the same derivation should have been the same. */
  private compareElsewhere({ key, name, digest }: OutputRecord): void {
    for (const { origin, digest: theirs } of this.store.elsewhere(key)) {
      if (origin === undefined || theirs === digest) continue;
      const text = `${name} as ${origin.place} built it for ${origin.for.join(", ")} is not what the sandbox made of it: do not trust what was made from it there`;
      this.emit({ type: "notice", text });
    }
  }

  /** A source is referred to by its file's hash, an output by its key. */
  private reference(key: Key): string {
    const { derivation } = this.node(key);
    return derivation.kind === "fetch" ? `source:${derivation.sha256}` : key;
  }

  /** Deletes what killed forges left, as soon as there is a seed to do it with. */
  private discardAbandoned(): void {
    if (this.abandoned.length === 0 || this.seedTree() === undefined) return;
    this.discard(...this.abandoned);
    this.abandoned = [];
  }

  /** Deletes work folders beside the rest: a kernel tree takes seconds, which nobody should wait for. */
  private discard(...folders: string[]): void {
    const large = folders.filter((folder) => !deleteIfSmall(folder));
    if (large.length > 0) this.discards.push(this.deleteFolders(large));
  }

  private async deleteFolders(folders: readonly string[]): Promise<void> {
    if (await this.runTool("usr/bin/rm", ["-rf", ...folders])) return;
    // copies of outputs are read-only, and only root can empty folders without permissions
    await this.runTool("usr/bin/chmod", ["-R", "u+rwX", ...folders]);
    await this.runTool("usr/bin/rm", ["-rf", ...folders]);
  }

  private runTool(program: string, args: readonly string[]): Promise<boolean> {
    const { command, args: all, env } = seedProgram(this.bubblewrap(), program, args);
    const child = spawn(command, all, { env, stdio: "ignore", detached: true });
    return new Promise((resolve) =>
      child.on("close", (status) => resolve(status === 0)).on("error", () => resolve(false)),
    );
  }

  private done(key: Key, started: number, cpu: number | undefined, bytes: number): void {
    this.built.push(key);
    this.emit({ type: "done", key, seconds: (performance.now() - started) / 1000, cpu, bytes });
  }

  // Turns: a download takes one of the slots, everything else a token.

  private async takeTurn(node: Node): Promise<void> {
    if (node.derivation.kind !== "fetch") return this.takeToken(node.key);
    while (this.downloads >= DOWNLOADS) await new Promise<void>((resolve) => this.downloadQueue.push(resolve));
    this.downloads += 1;
  }

  private endTurn(node: Node): void {
    if (node.derivation.kind !== "fetch") return this.giveToken();
    this.downloads -= 1;
    this.downloadQueue.shift()?.();
  }

  private takeToken(key: Key): Promise<void> {
    return new Promise((grant) => {
      this.tokenQueue.push({ key, grant, told: false });
      this.grantSoon();
    });
  }

  private giveToken(): void {
    if (this.jobserver !== undefined) this.jobserver.give();
    else this.ownTokens.used -= 1;
    this.grantSoon();
  }

  /** Not at once: what becomes ready at the same moment asks one after the other, and the most urgent is to be first. */
  private grantSoon(): void {
    this.granting ??= setImmediate(() => {
      this.granting = undefined;
      this.grantTokens();
    });
  }

  private grantTokens(): void {
    this.tokenQueue.sort((a, b) => this.priority(b.key) - this.priority(a.key));
    while (this.tokenQueue.length > 0 && this.tryToken()) this.tokenQueue.shift()?.grant();
    for (const waiting of this.tokenQueue.filter(({ told }) => !told)) {
      waiting.told = true;
      this.emit({ type: "waiting", key: waiting.key, on: "token", detail: `all ${this.options.jobs} jobs are busy` });
    }
    // a running make gives tokens back without telling: look again while somebody waits
    if (this.tokenQueue.length > 0) this.poll ??= setInterval(() => this.grantTokens(), 50);
    else if (this.poll !== undefined) {
      clearInterval(this.poll);
      this.poll = undefined;
    }
  }

  /** Before the jobserver's FIFO can be made there is only this process to share the tokens with. */
  private tryToken(): boolean {
    if (this.jobserver !== undefined) return this.jobserver.tryTake();
    if (this.ownTokens.used >= this.options.jobs) return false;
    this.ownTokens.used += 1;
    return true;
  }

  /** The FIFO, made with the tools of the seed when the first step is due; takes over the tokens in use. */
  private openSandboxes(): Promise<{ readonly jobserver: Jobserver; readonly user: SandboxUser }> {
    return (this.sandboxes ??= this.makeJobserver());
  }

  private async makeJobserver(): Promise<{ readonly jobserver: Jobserver; readonly user: SandboxUser }> {
    const user = await openSandbox(this.bubblewrap());
    this.discardAbandoned();
    this.jobserverFolder = this.store.workFolder("jobserver");
    const jobserver = new Jobserver(this.bubblewrap(), this.jobserverFolder, this.options.jobs);
    for (let i = 0; i < this.ownTokens.used; i++) jobserver.tryTake();
    this.jobserver = jobserver;
    return { jobserver, user };
  }

  /** Expected seconds from the start of a node to the end of everything that waits for it. */
  private priority(key: Key): number {
    if (this.priorities.size === 0) {
      for (const node of [...this.evaluation.nodes.values()].reverse()) {
        const own = this.options.expected.get(node.derivation.name) ?? (node.derivation.kind === "step" ? 10 : 1);
        const total = (this.priorities.get(node.key) ?? 0) + own;
        this.priorities.set(node.key, total);
        for (const need of node.needs) this.priorities.set(need, Math.max(this.priorities.get(need) ?? 0, total));
      }
    }
    return this.priorities.get(key) ?? 0;
  }

  /** Every seed holds bubblewrap; the first that is present serves. */
  private bubblewrap(): string {
    const tree = this.seedTree();
    if (tree === undefined) throw new Error("a step was started before any seed was unpacked");
    return tree;
  }

  private seedTree(): string | undefined {
    if (this.bubblewrapTree === undefined) {
      for (const { key, derivation } of this.evaluation.nodes.values()) {
        if (derivation.kind !== "seed" || !this.store.has(key)) continue;
        this.bubblewrapTree = this.store.outputPath(key);
        break;
      }
    }
    return this.bubblewrapTree;
  }

  private node(key: Key): Node {
    const node = this.evaluation.nodes.get(key);
    if (node === undefined) throw new Error(`no node ${key}`);
    return node;
  }

  private emit(body: EventBody): void {
    this.options.on({ ...body, t: performance.now() - this.started });
  }
}

/** For so many entries a process that deletes them costs more than they do. */
const FEW = 30;

/** Says false for a folder that is large, or that resists: a process that was just killed may still write in it. */
function deleteIfSmall(folder: string): boolean {
  let entries = 0;
  try {
    for (const _ of walk(folder)) if (++entries > FEW) return false;
    removeTree(folder);
    return true;
  } catch {
    return false;
  }
}

function planNode({ key, derivation, needs }: Node, present: boolean): PlanNode {
  const { name, version, kind } = derivation;
  return { key, name, version, kind, needs, present };
}

function diskFull(cause: Fault, where: string): Fault {
  if (cause.code === "E_DISK_FULL") return cause;
  const full = writeFault(Object.assign(new Error(cause.message), { code: "ENOSPC" }), where) as Fault;
  return new Fault("E_DISK_FULL", full.message, {
    details: [cause.message],
    ...(full.hint === undefined ? {} : { hint: full.hint }),
    ...(cause.log === undefined ? {} : { log: cause.log }),
    cause,
  });
}

/**
 * The user and group files that maintainer scripts would have made; uid 1000 is who a step runs as. A package may have put
 * links there. Throws E_ARCHIVE when /etc itself is one: it could lead out of the tree.
 */
function addAccounts(tree: string): void {
  const etc = path.join(tree, "etc");
  mkdirSync(etc, { recursive: true });
  if (!lstatSync(etc).isDirectory())
    throw new Fault("E_ARCHIVE", "a package of the seed has a link in the place of /etc");
  const write = (name: string, text: string): void => {
    const file = path.join(etc, name);
    rmSync(file, { force: true });
    writeFileSync(file, text, { flag: "wx" });
  };
  write("passwd", "root:x:0:0:root:/root:/bin/sh\nanvil:x:1000:1000:anvil:/build:/bin/sh\n");
  write("group", "root:x:0:\nanvil:x:1000:\n");
  write("hosts", "127.0.0.1 localhost\n::1 localhost\n");
}

/**
 * Copies a file out of the store so that a reader sees the old file or the new one. Throws E_DISK_FULL, or E_READ_ONLY
 * for a folder that cannot be written.
 */
export function copyOut(from: string, to: string): void {
  const draft = draftOf(to);
  try {
    mkdirSync(path.dirname(to), { recursive: true });
    copyFileSync(from, draft);
    renameSync(draft, to);
  } catch (error) {
    if (existsSync(draft)) rmSync(draft);
    const [code, what] = ["ENOSPC", "EDQUOT"].includes(errno(error) ?? "")
      ? (["E_DISK_FULL", "no space left for"] as const)
      : (["E_READ_ONLY", "cannot write"] as const);
    throw new Fault(code, `${what} ${to}`, {
      details: [(error as Error).message],
      hint: "choose another folder with --out; the result itself is safe in the store",
      cause: error,
    });
  }
}
