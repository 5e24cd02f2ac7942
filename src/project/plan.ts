/** What a forge would do: the plan of targets on a channel, and how much of it the store has. */
import { statfsSync } from "node:fs";
import type { Evaluation, Node } from "../forge/evaluate.ts";
import { missing } from "../forge/forge.ts";
import { localSources, unusedNotices, type LocalOptions } from "../forge/local-sources.ts";
import type { Derivation, Key } from "../recipe/derivation.ts";
import type { Store } from "../store/store.ts";
import type { Project, SourceValues } from "./project.ts";

export interface Wanted extends SourceValues {
  /** Recipes; none is the image. */
  readonly names: readonly string[];
  /** Of the image; undefined is as usual. */
  readonly rootLogin?: boolean | undefined;
}

export interface Plan {
  readonly evaluation: Evaluation;
  /** Why this channel was chosen. */
  readonly why: string;
}

/** Throws E_NO_TARGET, E_CHANNEL and what `evaluate` throws. */
export async function planOf(project: Project, wanted: Wanted, options?: LocalOptions): Promise<Plan> {
  const targets = (await project.targets()).named(wanted.names, wanted.rootLogin);
  const { channel, why } = await project.selectSources(wanted, options);
  return { evaluation: project.evaluate(targets, channel), why };
}

export interface Status {
  readonly channel: string;
  readonly why: string;
  readonly missing: readonly { readonly name: string; readonly version: string; readonly kind: Derivation["kind"] }[];
  /** Sources of this machine. */
  readonly local: readonly object[];
  readonly store: {
    readonly folder: string;
    readonly outputs: number;
    readonly bytes: number;
    readonly free: number;
  };
  /** What the user should know. */
  readonly notices: readonly string[];
}

export async function status(project: Project, wanted: Wanted): Promise<Status> {
  const { evaluation, why } = await planOf(project, wanted, { look: true });
  const { store } = project;
  const local = localSources(evaluation).map(([name, { version, sha256, local: origin }]) => ({
    name,
    version,
    sha256,
    ...origin,
  }));
  const absent = missing(evaluation, store)
    // a local source is here, if not in the store
    .filter(({ derivation }) => derivation.kind !== "fetch" || derivation.local === undefined)
    .map(({ derivation: { name, version, kind } }) => ({ name, version, kind }));
  const records = store.outputs.records();
  const bytes = records.reduce((sum, record) => sum + record.bytes, 0);
  const held = { folder: store.paths.top, outputs: records.length, bytes, free: freeBytes(store) };
  const notices = unusedNotices(evaluation);
  return { channel: evaluation.channel.name, why, missing: absent, local, store: held, notices };
}

/** Bytes of the file system that a user without rights may still take. */
export function freeBytes({ paths }: Store): number {
  const { bavail, bsize } = statfsSync(paths.top);
  return bavail * bsize;
}

export interface Graph {
  readonly channel: string;
  readonly why: string;
  readonly targets: readonly Key[];
  /** In build order. */
  readonly nodes: readonly {
    readonly key: Key;
    readonly name: string;
    readonly version: string;
    readonly kind: Derivation["kind"];
    readonly needs: readonly Key[];
    /** Whether the store has it. */
    readonly present: boolean;
    /** A source of this machine. */
    readonly local: boolean;
  }[];
}

export async function graph(project: Project, wanted: Wanted): Promise<Graph> {
  const { evaluation, why } = await planOf(project, wanted, { look: true });
  const nodes = [...evaluation.nodes.values()].map((node) => ({
    key: node.key,
    name: node.derivation.name,
    version: node.derivation.version,
    kind: node.derivation.kind,
    needs: node.needs,
    present: isThere(node, project.store),
    local: node.derivation.kind === "fetch" && node.derivation.local !== undefined,
  }));
  return { channel: evaluation.channel.name, why, targets: evaluation.targets, nodes };
}

function isThere({ key, derivation }: Node, store: Store): boolean {
  if (derivation.kind !== "fetch") return store.outputs.has(key);
  return derivation.local !== undefined || (derivation.sha256 !== undefined && store.sources.has(derivation.sha256));
}
