import type { Evaluation, Node } from "../forge/evaluate.ts";
import type { Derivation, Key } from "../recipe/derivation.ts";
import { describeProof } from "../recipe/proof.ts";
import { recordName } from "../store/garbage.ts";
import type { Project, SourceValues } from "./project.ts";

/** What decides a recipe's key, and who needs it. */
export interface Reasons {
  readonly name: string;
  readonly version: string;
  readonly kind: Derivation["kind"];
  readonly key: Key;
  readonly present: boolean;
  /** What the store has of it. */
  readonly output:
    { readonly folder: string; readonly seconds: number; readonly files: number; readonly bytes: number } | undefined;
  /** Outputs of this key that were not made in the sandbox. */
  readonly elsewhere: readonly string[];
  /** Names from the image to the recipe; empty when the image does not need it. */
  readonly path: readonly string[];
  readonly inputs: readonly { readonly key: Key; readonly name: string }[];
  readonly proofs: readonly string[];
}

/** Throws E_NO_TARGET, E_CHANNEL and what `evaluate` throws. */
export async function why(project: Project, name: string, sources: SourceValues): Promise<Reasons> {
  const { store } = project;
  const targets = await project.targets();
  const { channel } = await project.selectSources(sources, { look: true });
  const evaluation = project.evaluate([targets.image(), targets.find(name)], channel);
  const [image, key] = evaluation.targets as [Key, Key];
  const nodeOf = (each: Key): Node => evaluation.nodes.get(each) as Node;
  const { derivation, needs } = nodeOf(key);
  const record = store.outputs.record(key);
  return {
    name: derivation.name,
    version: derivation.version,
    kind: derivation.kind,
    key,
    present: record !== undefined,
    output: record === undefined ? undefined : { folder: store.outputs.folder(record), ...record },
    elsewhere: store.outputs.elsewhere(key).map(recordName),
    path: shortestPath(evaluation, image, key).map((each) => nodeOf(each).derivation.name),
    inputs: needs.map((need) => ({ key: need, name: titleOf(nodeOf(need)) })),
    proofs: derivation.kind === "step" ? derivation.proves.map(describeProof) : [],
  };
}

function titleOf({ derivation }: Node): string {
  const { kind, name, version } = derivation;
  const local = derivation.kind === "fetch" ? derivation.local : undefined;
  if (local !== undefined) return `local ${name} ${version}, the ${local.kind} ${local.file}`;
  return `${kind === "fetch" ? "fetch " : ""}${name} ${version}`;
}

function shortestPath({ nodes }: Evaluation, from: Key, to: Key): Key[] {
  const paths = new Map<Key, Key[]>([[from, [from]]]);
  for (const [key, path] of paths) {
    if (key === to) return path;
    for (const need of nodes.get(key)?.needs ?? []) if (!paths.has(need)) paths.set(need, [...path, need]);
  }
  return [];
}
