/**
 * What makes the output of a node. There is a maker for each kind of derivation, and one for steps that are built in
 * another place; all have one signature, so that a further place is a further file.
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import type { Derivation, Digest, Key } from "../../recipe/derivation.ts";
import type { Limits } from "../../sandbox/limits.ts";
import { removeTree } from "../../host/remove-tree.ts";
import type { Origin, OutputRecord } from "../../store/record.ts";
import type { Store } from "../../store/store.ts";
import type { Evaluation, Node } from "../evaluate.ts";
import type { EventBody } from "../events.ts";
import type { Places, Superseded } from "../places.ts";
import type { Sandboxes } from "../sandboxes.ts";
import type { Waste } from "../waste.ts";

/**
 * Makes one output and puts it into the store. The lock of the key and a turn are held, and what the node needs is there
 * and sound. Emits "start" first. Throws Faults and StepFailure; nothing is in the store then.
 */
export type Maker<D extends Derivation = Derivation> = (job: Job<D>) => Promise<Made>;

export interface Job<D extends Derivation = Derivation> {
  readonly node: Node;
  readonly derivation: D;
  /** Of `performance.now()`. */
  readonly started: number;
  readonly run: Run;
}

export interface Made {
  readonly bytes: number;
  /** Processor seconds of a step. */
  readonly cpu?: number | undefined;
  /** Its bytes were hashed while it was made: they need not be looked at again before they are used. */
  readonly isSound: boolean;
}

/** What makers may use of a run. */
export interface Run extends RunOptions {
  readonly evaluation: Evaluation;
  /** Names by which `anvil lock` knows what is downloaded. */
  readonly superseded: Superseded;
  readonly sandboxes: Sandboxes;
  readonly waste: Waste;
  readonly emit: (body: EventBody) => void;
}

/** What the caller of a run decides, as far as makers have to know. */
export interface RunOptions extends Places {
  readonly project: string;
  readonly store: Store;
  /** Of each step. Default: `defaultLimits`. */
  readonly limits?: Limits;
  readonly acceptUnverified: ReadonlySet<string>;
  /** A source without a pin was accepted and has this hash; the caller keeps it and evaluates again. */
  readonly onPin: (component: string, sha256: Digest) => void;
  readonly signal: AbortSignal;
}

/** Gives an empty folder for an output to the work, and deletes what is left of it. */
export async function inWorkFolder<T>(store: Store, name: string, work: (tree: string) => Promise<T>): Promise<T> {
  const folder = store.workFolder(name);
  try {
    const tree = path.join(folder, "out");
    mkdirSync(tree);
    return await work(tree);
  } finally {
    removeTree(folder);
  }
}

export interface Finished {
  /** The folder with the output; it is gone afterwards. */
  readonly tree: string;
  readonly proofs?: OutputRecord["proofs"];
  /** Where it was made, if not here, and the ingot that alone it is good for. */
  readonly place?: { readonly name: string; readonly for: string } | undefined;
  readonly cpu?: number | undefined;
}

/** Moves a finished output into the store. */
export async function keep({ node, started, run }: Job, { tree, proofs = [], place, cpu }: Finished): Promise<Made> {
  const { store } = run;
  const { key, derivation, needs } = node;
  const origin = originOf(store, needs, place);
  const record = await store.outputs.add(tree, {
    key,
    name: derivation.name,
    version: derivation.version,
    seconds: (performance.now() - started) / 1000,
    proofs,
    references: needs.map((need) => reference(run.evaluation, need)),
    ...(origin === undefined ? {} : { origin }),
  });
  if (origin === undefined) compareElsewhere(record, run);
  return { bytes: record.bytes, cpu, isSound: true };
}

/** Of what is made in another place, or from what was. */
function originOf(store: Store, needs: readonly Key[], place: Finished["place"]): Origin | undefined {
  const inherited = needs.map((need) => store.outputs.record(need)?.origin).filter((origin) => origin !== undefined);
  const names = [...(place === undefined ? [] : [place.for]), ...inherited.flatMap((origin) => origin.for)];
  const where = place?.name ?? inherited[0]?.place;
  return where === undefined ? undefined : { place: where, for: [...new Set(names)].sort() };
}

/** A source is referred to by its file's hash, an output by its key. */
function reference(evaluation: Evaluation, key: Key): string {
  const derivation = evaluation.nodes.get(key)?.derivation;
  return derivation?.kind === "fetch" ? `source:${derivation.sha256}` : key;
}

/** What another place made of the same derivation should have been the same. */
function compareElsewhere({ key, name, digest }: OutputRecord, { store, emit }: Run): void {
  for (const { origin, digest: theirs } of store.outputs.elsewhere(key)) {
    if (origin === undefined || theirs === digest) continue;
    const text = `${name} as ${origin.place} built it for ${origin.for.join(", ")} is not what the sandbox made of it: do not trust what was made from it there`;
    emit({ type: "notice", text });
  }
}
