/**
 * The manifest of a result: what it is made of, down to the pinned files, and how each part was proven. Deterministic
 * for one evaluation; records of the store give the proofs.
 */
import { readFileSync } from "node:fs";
import { errno, Fault } from "../fault/fault.ts";
import type { Channel, LocalOrigin, Patches } from "../recipe/channel.ts";
import type { FetchDerivation, Key } from "../recipe/derivation.ts";
import { audit, type ComponentAudit, type Known, type Pinned } from "../source/advisories.ts";
import type { Origin } from "../store/record.ts";
import type { Store } from "../store/store.ts";
import type { Evaluation } from "./evaluate.ts";

export interface Manifest {
  readonly format: 1;
  readonly channel: { readonly name: string; readonly why: string };
  /** Sources that are not the channel's but of the machine; absent where all are the channel's. */
  readonly local?: readonly ManifestSource[];
  readonly files: readonly { readonly file: string; readonly bytes: number; readonly sha256: string }[];
  /** Ids of the keys whose ingots the system accepts. */
  readonly trust: readonly string[];
  /** Whether every console of the system is a root shell without a password. */
  readonly rootLogin: boolean;
  /** Type and SHA-256 fingerprint of the SSH keys whose owners log in as root. */
  readonly logins: readonly string[];
  /** In build order. */
  readonly components: readonly ManifestComponent[];
  /** Binary packages of the seed: what built stage 1 or made images, none of it in the result but the boot loader. */
  readonly seed: readonly ManifestSource[];
  /** How the sources stood with what was known of vulnerabilities when the result was published. */
  readonly advisories: readonly ComponentAudit[];
}

export interface ManifestSource {
  readonly name: string;
  readonly version: string;
  readonly file: string;
  readonly sha256: string;
  /**
   * "signed": a signature that `anvil lock` checked covers the hash; "recorded": the hash was taken over; "local": somebody
   * named a source of the machine, and this is the hash of what was there.
   */
  readonly verified: "signed" | "recorded" | "local";
  /** Whether a local source was a folder, of which `sha256` is the archive that was made of it, or an archive. */
  readonly local?: LocalOrigin["kind"];
  /** Why the pin is doubtful, where it is. */
  readonly unverified?: string;
  /** Of an archive of patches: those that were applied, in their order. */
  readonly patches?: readonly string[];
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
  /** Absent for what the sandbox made; else the place, and the ingots for which it was accepted. */
  readonly origin?: Origin;
}

/** What the evaluation does not know: why this channel, the published files, the keys. */
export interface ManifestFacts {
  readonly why: string;
  readonly files: Manifest["files"];
  readonly trust: Manifest["trust"];
  readonly rootLogin: Manifest["rootLogin"];
  readonly logins: Manifest["logins"];
  readonly known: Known;
}

export function manifestOf(evaluation: Evaluation, store: Store, { why, known, ...facts }: ManifestFacts): Manifest {
  const { nodes, channel } = evaluation;
  const seedPackages = new Map<Key, FetchDerivation>();
  const components: ManifestComponent[] = [];
  for (const { key, derivation, needs } of nodes.values()) {
    if (derivation.kind === "fetch") continue;
    const record = store.outputs.record(key);
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
      sources: fetched.map((fetch) => componentSource(fetch, channel)),
      inputs: needed
        .filter((node) => node.derivation.kind !== "fetch")
        .map((node) => ({ name: node.derivation.name, key: node.key })),
      proofs: record.proofs,
      ...(record.origin === undefined ? {} : { origin: record.origin }),
    });
  }
  const seed = [...seedPackages.values()].map((fetch) => sourceOf(fetch, verifiedPackage(channel, fetch)));
  const advisories = auditOf({ components, seed }, known);
  const local = localSources(components);
  return {
    format: 1,
    channel: { name: channel.name, why },
    ...(local.length === 0 ? {} : { local }),
    ...facts,
    components,
    seed,
    advisories,
  };
}

/** Each once, in build order. */
function localSources(components: readonly ManifestComponent[]): ManifestSource[] {
  const sources = components.flatMap((component) => component.sources).filter(({ local }) => local !== undefined);
  return [...new Map(sources.map((source) => [source.name, source])).values()];
}

function componentSource(fetch: FetchDerivation, { components }: Channel): ManifestSource {
  const [, component, index] = patchesArchive.exec(fetch.name) ?? [];
  const patches: Patches | undefined = components[component ?? ""]?.patches?.[Number(index) - 1];
  if (patches !== undefined) return { ...sourceOf(fetch, patches.verified), patches: patches.files };
  if (fetch.local !== undefined) return { ...sourceOf(fetch, "local"), local: fetch.local.kind };
  return sourceOf(fetch, components[fetch.name]?.verified ?? "recorded");
}

/** What an archive of patches is called among the sources: `musl.patches-1`. */
const patchesArchive = /^(.*)\.patches-([0-9]+)$/;

/** What the channel says of the file with that hash; a fetch knows only its bytes. */
function verifiedPackage({ seeds }: Channel, { sha256 }: FetchDerivation): "signed" | "recorded" {
  const pins = Object.values(seeds)
    .flat()
    .filter((each) => each.sha256 === sha256);
  return pins.length > 0 && pins.every(({ verified }) => verified === "signed") ? "signed" : "recorded";
}

function sourceOf(fetch: FetchDerivation, verified: ManifestSource["verified"]): ManifestSource {
  return {
    name: fetch.name,
    version: fetch.version,
    file: fetch.file,
    sha256: fetch.sha256 ?? "",
    verified,
    ...(fetch.unverified === undefined ? {} : { unverified: fetch.unverified }),
  };
}

/**
 * How a result stands with what is known: the sources of its components, and the packages of the seed that are named. Nobody
 * has looked at a local source.
 */
export function auditOf({ components, seed }: Pick<Manifest, "components" | "seed">, known: Known): ComponentAudit[] {
  const sources = components.flatMap((component) => component.sources);
  const pins = new Map<string, Pinned>(seed.map(({ name, version }) => [name, { version, patches: [] }]));
  const named = new Set<string>();
  for (const { name, version } of sources.filter(({ name }) => !patchesArchive.test(name))) {
    const applied = sources.filter((each) => patchesArchive.exec(each.name)?.[1] === name);
    pins.set(name, { version, patches: [...new Set(applied.flatMap(({ patches = [] }) => patches))] });
    named.add(name);
  }
  const local = new Set(sources.filter((each) => each.local !== undefined).map(({ name }) => name));
  const looked = Object.fromEntries(Object.entries(known).filter(([name]) => !local.has(name)));
  return audit(pins, looked, [...named]);
}

/** Throws E_MANIFEST for a file that is not there or is no manifest. */
export function readManifest(file: string): Manifest {
  let value: Partial<Manifest> | null;
  try {
    value = JSON.parse(readFileSync(file, "utf8")) as Partial<Manifest> | null;
  } catch (cause) {
    const reason = errno(cause) ?? (cause as Error).message;
    throw new Fault("E_MANIFEST", `${file} cannot be read: ${reason}`, {
      hint: "the manifest stands beside the ISO: `anvil forge` writes both",
      cause,
    });
  }
  const lists = [value?.components, value?.seed, value?.files];
  if (value?.format === 1 && lists.every(Array.isArray)) return value as Manifest;
  throw new Fault("E_MANIFEST", `${file} is not the manifest of an ISO`);
}
