/**
 * Realises an evaluation: everything that its targets need and the store does not have. One promise per node; what is
 * present is not looked into further, so a warm store reads no sources. Emits events, prints nothing. How a node is made
 * is told by the makers (src/forge/makers/), when by the turns (src/forge/turns.ts).
 */
import { setMaxListeners } from "node:events";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Fault } from "../fault/fault.ts";
import type { Digest, FetchDerivation, Key } from "../recipe/derivation.ts";
import { describeOwner, isElsewhere } from "../host/owner.ts";
import { checkCache, networkWarning, otherMachine } from "../store/fitness.ts";
import type { Lock } from "../store/lock.ts";
import type { Store } from "../store/store.ts";
import type { Use } from "../store/uses.ts";
import { writeFault } from "../store/write-fault.ts";
import type { Evaluation, Node } from "./evaluate.ts";
import type { Elsewhere } from "./elsewhere.ts";
import type { EventBody, Listener, PlanNode } from "./events.ts";
import { diskFull, diskIsFull } from "./full-disk.ts";
import { makeCpio } from "./makers/cpio.ts";
import { makeElsewhere } from "./makers/elsewhere.ts";
import { makeFetch } from "./makers/fetch.ts";
import type { Made, Run, RunOptions } from "./makers/maker.ts";
import { makeSeed } from "./makers/seed.ts";
import { makeStep } from "./makers/step.ts";
import { supersededIn } from "./places.ts";
import { Sandboxes } from "./sandboxes.ts";
import { failedFolder, StepFailure } from "./step.ts";
import { Turns, urgencyIn } from "./turns.ts";
import { usedBy } from "./used-by.ts";
import { Waste } from "./waste.ts";

export interface RealiseOptions extends RunOptions {
  /** Why this channel was chosen, for the first line. */
  readonly why: string;
  /** Job tokens: how many processes may compute at once. */
  readonly jobs: number;
  /** Go on with what does not depend on a failed node. Otherwise what runs is finished and nothing new is started. */
  readonly keepGoing: boolean;
  /** What the user should know before anything is done. */
  readonly notices?: readonly string[];
  /** Expected seconds by derivation name, from the last run. */
  readonly expected: ReadonlyMap<string, number>;
  /**
   * Where some steps are built. They are built there also when they are in the store: then what is there must be the same,
   * else E_OUTPUT_DIFFERS.
   */
  readonly elsewhere?: { readonly place: Elsewhere; readonly steps: ReadonlySet<Key> };
  readonly on: Listener;
}

export interface Outcome {
  readonly ok: boolean;
  readonly built: readonly Key[];
  readonly failed: ReadonlyMap<Key, Fault>;
}

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
  if (derivation.kind !== "fetch") return store.outputs.has(key);
  return derivation.sha256 !== undefined && store.sources.has(derivation.sha256);
}

export function realise(evaluation: Evaluation, options: RealiseOptions): Promise<Outcome> {
  return new Realisation(evaluation, options).run();
}

class Realisation {
  readonly #evaluation: Evaluation;
  readonly #options: RealiseOptions;
  readonly #store: Store;
  readonly #started = performance.now();
  readonly #promises = new Map<Key, Promise<boolean>>();
  /** Whether what is in the store has the bytes that its record says, once somebody needed it. */
  readonly #usable = new Map<Key, Promise<boolean>>();
  readonly #built: Key[] = [];
  readonly #failed = new Map<Key, Fault>();
  readonly #turns: Turns;
  readonly #sandboxes: Sandboxes;
  readonly #waste: Waste;
  readonly #run: Run;

  constructor(evaluation: Evaluation, options: RealiseOptions) {
    const { store, jobs } = options;
    this.#evaluation = evaluation;
    this.#options = options;
    this.#store = store;
    const detail = `all ${jobs} jobs are busy`;
    this.#turns = new Turns({
      jobs,
      urgency: urgencyIn(evaluation, options.expected),
      onWaiting: (key) => this.#emit({ type: "waiting", key, on: "token", detail }),
    });
    this.#sandboxes = new Sandboxes({
      evaluation,
      store,
      jobs,
      onOpen: () => this.#waste.discardFound(),
      onJobserver: (jobserver) => this.#turns.share(jobserver),
    });
    this.#waste = new Waste(() => this.#sandboxes.seedTree());
    let superseded: Run["superseded"] | undefined;
    this.#run = {
      ...options,
      evaluation,
      superseded: (fetches) => (superseded ??= supersededIn(evaluation.channel))(fetches),
      sandboxes: this.#sandboxes,
      waste: this.#waste,
      emit: (body) => this.#emit(body),
    };
  }

  async run(): Promise<Outcome> {
    const evaluation = this.#evaluation;
    const options = this.#options;
    // one listener per running step and download
    setMaxListeners(0, options.signal);
    const elsewhere = options.elsewhere?.steps ?? [];
    const todo = new Set([...missing(evaluation, this.#store).map((node) => node.key), ...elsewhere]);
    this.#emit({
      type: "plan",
      channel: evaluation.channel.name,
      why: options.why,
      jobs: options.jobs,
      nodes: [...evaluation.nodes.values()].map((node) => planNode(node, !todo.has(node.key))),
    });
    for (const text of options.notices ?? []) this.#emit({ type: "notice", text });
    const use = todo.size > 0 ? await this.#prepare() : undefined;
    try {
      return await this.#realise(evaluation.nodes.size - todo.size);
    } finally {
      use?.release();
    }
  }

  async #realise(reused: number): Promise<Outcome> {
    const { targets } = this.#evaluation;
    this.#waste.found(await this.#store.abandoned());
    await Promise.all(targets.map((key) => this.#ensure(key)));
    targets.forEach((key) => this.#store.outputs.touch(key));
    this.#turns.close();
    this.#sandboxes.close();
    await this.#waste.end();
    const ok = this.#failed.size === 0 && !this.#options.signal.aborted;
    this.#emit({ type: "end", ok, built: this.#built.length, reused, failed: this.#failed.size });
    return { ok, built: this.#built, failed: this.#failed };
  }

  /** There is something to do. Throws E_CACHE_NOEXEC and E_CACHE_FILE_SYSTEM, and what a disk can refuse. */
  async #prepare(): Promise<Use> {
    const { top } = this.#store.paths;
    let use: Use;
    try {
      checkCache(this.#store);
      use = await this.#store.uses.announce(usedBy(this.#evaluation));
    } catch (error) {
      throw writeFault(error, top);
    }
    const warning = networkWarning(top);
    if (warning !== undefined) this.#emit({ type: "notice", text: warning });
    return use;
  }

  /** True when the node's output is in the store at the end. */
  #ensure(key: Key): Promise<boolean> {
    let promise = this.#promises.get(key);
    if (promise === undefined) {
      promise = this.#make(this.#node(key));
      this.#promises.set(key, promise);
    }
    return promise;
  }

  async #make(node: Node): Promise<boolean> {
    if (this.#isDone(node)) return true;
    const results = await Promise.all(node.needs.map((need) => this.#ensure(need)));
    const broken = node.needs.find((_, index) => !results[index]);
    if (broken !== undefined) return this.#skip(node, broken);
    if (this.#stopping()) return false;
    try {
      const damaged = await this.#damagedInput(node);
      if (damaged !== undefined) return this.#skip(node, damaged);
      await this.#produce(node);
      return true;
    } catch (error) {
      this.#fail(node, error);
      return false;
    }
  }

  #skip({ key }: Node, because: Key): false {
    if (!this.#options.signal.aborted) this.#emit({ type: "skipped", key, because });
    return false;
  }

  #isDone(node: Node): boolean {
    return this.#placeOf(node.key) === undefined && isPresent(node, this.#store);
  }

  /** Where the step is built, if not here. */
  #placeOf(key: Key): Elsewhere | undefined {
    const { elsewhere } = this.#options;
    return elsewhere?.steps.has(key) === true ? elsewhere.place : undefined;
  }

  #stopping(): boolean {
    return this.#options.signal.aborted || (this.#failed.size > 0 && !this.#options.keepGoing);
  }

  #fail(node: Node, error: unknown): void {
    if (this.#options.signal.aborted) return;
    const { top } = this.#store.paths;
    const tail = error instanceof StepFailure ? error.tail : [];
    const cause = error instanceof StepFailure ? error.fault : writeFault(error, top);
    if (!(cause instanceof Fault)) throw cause;
    if (cause.code === "E_INTERRUPTED") return;
    const full = diskIsFull(top, tail);
    // what the step left is of no use then, and its space is needed
    if (full && error instanceof StepFailure)
      this.#waste.discard(failedFolder(this.#store, node.key, node.derivation.name));
    const fault = full ? diskFull(cause, top) : cause;
    this.#failed.set(node.key, fault);
    this.#emit({ type: "failed", key: node.key, fault, tail });
  }

  /** Hashes each input once per run before it is used. The result is one that is damaged and could not be made again. */
  async #damagedInput(node: Node): Promise<Key | undefined> {
    for (const need of node.needs) {
      let usable = this.#usable.get(need);
      if (usable === undefined) this.#usable.set(need, (usable = this.#checkOrMend(this.#node(need))));
      if (!(await usable)) return need;
    }
    return undefined;
  }

  async #checkOrMend(node: Node): Promise<boolean> {
    if (await this.#isSound(node)) return true;
    const { key, derivation } = node;
    const lock = await this.#takeLock(node);
    try {
      // another forge may have found it too, and have made it again meanwhile
      if (await this.#isSound(node)) return true;
      this.#emit({ type: "notice", text: `${derivation.name} in the store is damaged: making it again` });
      if (derivation.kind === "fetch") this.#store.sources.remove(derivation.sha256 as Digest);
      else this.#store.outputs.remove(key);
    } finally {
      lock.release();
    }
    this.#promises.delete(key);
    return this.#ensure(key);
  }

  #isSound({ key, derivation }: Node): boolean | Promise<boolean> {
    if (derivation.kind !== "fetch") return this.#store.outputs.isSound(key);
    return this.#store.sources.isSound(derivation.sha256 as Digest);
  }

  /** Makes the node, or waits for the forge that does. Its lock is only held while there is also a turn for it. */
  async #produce(node: Node): Promise<void> {
    for (;;) {
      await this.#turns.take(node);
      try {
        if (this.#stopping()) throw new Fault("E_INTERRUPTED", "not started");
        // another forge may have made it while this one waited
        if (this.#isDone(node)) return;
        const lock = await this.#store.lock(node.key);
        if ("release" in lock) return await this.#underLock(node, lock);
      } finally {
        this.#turns.end(node);
      }
      await this.#otherForge(node);
    }
  }

  async #underLock(node: Node, lock: Lock): Promise<void> {
    try {
      if (this.#isDone(node)) return;
      const started = performance.now();
      const { bytes, cpu, isSound } = await makeNode(node, this.#placeOf(node.key), started, this.#run);
      if (isSound) this.#usable.set(node.key, Promise.resolve(true));
      this.#built.push(node.key);
      const seconds = (performance.now() - started) / 1000;
      this.#emit({ type: "done", key: node.key, seconds, cpu, bytes });
    } finally {
      lock.release();
    }
  }

  async #takeLock(node: Node): Promise<Lock> {
    for (;;) {
      const lock = await this.#store.lock(node.key);
      if ("release" in lock) return lock;
      await this.#otherForge(node);
    }
  }

  /** Returns when no other forge works on the node any more. */
  async #otherForge({ key }: Node): Promise<void> {
    for (let told = false; ; told = true) {
      const holder = await this.#store.lockHolder(key);
      if (holder === undefined) return;
      if (isElsewhere(holder))
        throw otherMachine(path.join(this.#store.paths.locks, key), this.#node(key).derivation.name);
      if (!told) this.#emit({ type: "waiting", key, on: "lock", detail: describeOwner(holder) });
      await sleep(100);
      if (this.#options.signal.aborted) throw new Fault("E_INTERRUPTED", "interrupted");
    }
  }

  #node(key: Key): Node {
    const node = this.#evaluation.nodes.get(key);
    if (node === undefined) throw new Error(`no node ${key}`);
    return node;
  }

  #emit(body: EventBody): void {
    this.#options.on({ ...body, t: performance.now() - this.#started });
  }
}

/** The one maker of a node. A further place where nodes are made is chosen here. */
function makeNode(node: Node, place: Elsewhere | undefined, started: number, run: Run): Promise<Made> {
  const { derivation } = node;
  switch (derivation.kind) {
    case "fetch":
      return makeFetch({ node, derivation, started, run });
    case "seed":
      return makeSeed({ node, derivation, started, run });
    case "cpio":
      return makeCpio({ node, derivation, started, run });
    case "step":
      return (place === undefined ? makeStep : makeElsewhere(place))({ node, derivation, started, run });
  }
}

function planNode({ key, derivation, needs }: Node, present: boolean): PlanNode {
  const { name, version, kind } = derivation;
  return { key, name, version, kind, needs, present };
}
