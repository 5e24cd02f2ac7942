/**
 * The manifest of a result: what it is made of, down to the pinned files, and how each part was proven. Deterministic
 * for one evaluation; records of the store give the proofs.
 */
import type { Channel } from "../recipe/channel.ts";
import type { FetchDerivation, Key } from "../recipe/derivation.ts";
import type { Store } from "../store/store.ts";
import type { Evaluation } from "./evaluate.ts";

export interface Manifest {
  readonly format: 1;
  readonly channel: { readonly name: string; readonly why: string };
  readonly files: readonly { readonly file: string; readonly bytes: number; readonly sha256: string }[];
  /** Ids of the keys whose ingots the system accepts. */
  readonly trust: readonly string[];
  /** In build order. */
  readonly components: readonly ManifestComponent[];
  /** Binary packages of the seed: what built stage 1 or made images, none of it in the result but the boot loader. */
  readonly seed: readonly ManifestSource[];
}

export interface ManifestSource {
  readonly name: string;
  readonly version: string;
  readonly file: string;
  readonly sha256: string;
  /** "signed": a signature that `anvil lock` checked covers the hash; "recorded": the hash was taken over. */
  readonly verified: "signed" | "recorded";
  /** Why the pin is doubtful, where it is. */
  readonly unverified?: string;
}

export interface ManifestComponent {
  readonly name: string;
  readonly version: string;
  readonly licence?: string;
  readonly key: Key;
  /** SHA-256 of the output's tree listing. */
  readonly digest: string;
  readonly sources: readonly ManifestSource[];
  readonly inputs: readonly { readonly name: string; readonly key: Key }[];
  readonly proofs: readonly { readonly proof: string; readonly detail: string }[];
}

/** What the evaluation does not know: why this channel, the published files, the keys. */
export interface ManifestFacts {
  readonly why: string;
  readonly files: Manifest["files"];
  readonly trust: Manifest["trust"];
}

export function manifestOf(evaluation: Evaluation, store: Store, { why, files, trust }: ManifestFacts): Manifest {
  const { nodes, channel } = evaluation;
  const seedPackages = new Map<Key, FetchDerivation>();
  const components: ManifestComponent[] = [];
  for (const { key, derivation, needs } of nodes.values()) {
    if (derivation.kind === "fetch") continue;
    const record = store.record(key);
    // what was not needed because its dependants were there already may have been collected
    if (record === undefined) continue;
    const needed = needs.map((need) => nodes.get(need)).filter((node) => node !== undefined);
    const fetched = needed.map((node) => node.derivation).filter((each) => each.kind === "fetch");
    if (derivation.kind === "seed") {
      needed.forEach((node) => node.derivation.kind === "fetch" && seedPackages.set(node.key, node.derivation));
      continue;
    }
    components.push({
      name: derivation.name,
      version: derivation.version,
      ...(derivation.kind === "step" ? { licence: derivation.licence } : {}),
      key,
      digest: record.digest,
      sources: fetched.map((fetch) => sourceOf(fetch, verified(channel, fetch))),
      inputs: needed
        .filter((node) => node.derivation.kind !== "fetch")
        .map((node) => ({ name: node.derivation.name, key: node.key })),
      proofs: record.proofs,
    });
  }
  const seed = [...seedPackages.values()].map((fetch) => sourceOf(fetch, "signed"));
  return { format: 1, channel: { name: channel.name, why }, files, trust, components, seed };
}

function verified({ components }: Channel, { name }: FetchDerivation): "signed" | "recorded" {
  const [, component = name, index] = /^(.*)\.patches-([0-9]+)$/.exec(name) ?? [];
  const pin = index === undefined ? components[name] : components[component]?.patches?.[Number(index) - 1];
  return pin?.verified ?? "recorded";
}

function sourceOf(fetch: FetchDerivation, verified: "signed" | "recorded"): ManifestSource {
  return {
    name: fetch.name,
    version: fetch.version,
    file: fetch.file,
    sha256: fetch.sha256 ?? "",
    verified,
    ...(fetch.unverified === undefined ? {} : { unverified: fetch.unverified }),
  };
}
