/**
 * The words that recipes are written in. A recipe is a frozen value: no I/O, no clock, no environment. What it depends
 * on are other recipe values, so the module graph is the build graph.
 */
import { Fault } from "../fault/fault.ts";
import type { Component, Patches } from "./channel.ts";
import { isLicence } from "./licence.ts";
import type { Assumption, Assumptions } from "./assumption.ts";
import type { Proof } from "./proof.ts";

/** A component of the channel by name (`"zfs"`); the channel fixes version, place and hash. */
export interface SourceRef {
  readonly component: string;
  /** Only its archive is there, at `/src/<component>`. */
  readonly packed?: true;
  /** Where no channel has it: the pin of an image of a user's. */
  readonly pin?: Component;
}

/** What pins a source that is in no channel. */
export interface SourcePin {
  readonly version: string;
  /** Where it is, the first that has it. */
  readonly urls?: readonly string[];
  /** Where a Debian mirror has it, below its root. */
  readonly archive?: string;
  readonly sha256: string;
  /** SPDX expression. */
  readonly licence: string;
}

export function source(component: string): SourceRef {
  return { component };
}

/** A source that is in no channel. Throws E_IMAGE for what is no pin. */
export function pinned(component: string, pin: SourcePin): SourceRef {
  return { component, pin: { ...checkPin(component, pin), verified: "recorded" } };
}

function checkPin(name: string, pin: SourcePin): SourcePin {
  const { version, urls = [], archive: file, sha256, licence } = pin;
  const wrong = [
    ...(/^[a-z0-9][a-z0-9.+-]*$/.test(name) ? [] : ["its name has lower-case letters, digits, ., + and -"]),
    ...(/^[A-Za-z0-9.+~_-]+$/.test(version) ? [] : [`version: "${version}" is none`]),
    ...(/^[0-9a-f]{64}$/.test(sha256) ? [] : [`sha256: 64 hexadecimal digits are wanted, not "${sha256}"`]),
    ...(isLicence(licence) ? [] : [`licence: "${licence}" is no SPDX expression`]),
    ...urls.filter((url) => !/^https?:\/\/[^\s]+$/.test(url)).map((url) => `urls: "${url}" is no address`),
    ...(urls.length > 0 || file !== undefined ? [] : ["urls: where it is has to be said"]),
  ];
  if (wrong.length === 0) return pin;
  throw new Fault("E_IMAGE", `the pin of source ${name} is wrong`, { details: wrong });
}

/** A component whose archive is wanted as it is. */
export function archive(component: string): SourceRef {
  return { component, packed: true };
}

/** The crates that a `Cargo.lock` names: they are planned once the output that holds it is there. */
export interface LockedCrates {
  /** Holds the lock file. */
  readonly of: Recipe;
  /** Its place in that output. */
  readonly lock: string;
}

export function cratesOf(of: Recipe, lock: string): LockedCrates {
  return { of, lock };
}

/**
 * Versions of the components as the channel pins them, for scripts that differ by version.
 * `of("linux")` is "6.12.107"; `atLeast("linux", "6.6")` compares numerically, part by part.
 */
export interface Versions {
  of(component: string): string;
  /** Whether the channel pins it. */
  has(component: string): boolean;
  atLeast(component: string, version: string): boolean;
  /** The component's patches in their order, by archive; none for most. */
  patches(component: string): readonly Patches[];
  /** Of a component that is not the channel's but somebody's own: its name, version and hash; undefined for all others. */
  local(component: string): string | undefined;
}

export type Script = string | ((versions: Versions) => string);

/** At least one. Those that differ by version are a function of the versions. */
export type Proofs = readonly [Proof, ...Proof[]] | ((versions: Versions) => readonly [Proof, ...Proof[]]);

/**
 * One thing that is built by a shell script in a sandbox. Paths inside the sandbox:
 *
 * | path              | what                                                                     |
 * |-------------------|--------------------------------------------------------------------------|
 * | `/build`          | working folder, empty but for the unpacked sources: `/build/<component>`  |
 * | `/src/<component>`| each source archive as downloaded, read-only                              |
 * | `/src/<component>.patches-<n>` | archives that hold its patches, from 1 on, where the channel has some; applied already |
 * | `/src/crates/<crate>-<version>.crate` | each crate of `crates` as downloaded, read-only       |
 * | `/files/<path>`   | each entry of `files`, read-only, under its path in the project          |
 * | `/tools/<folder>` | output of each of `tools`; its `usr/bin` and `usr/sbin` are on PATH      |
 * | `/deps/<folder>`  | output of each of `link`; compiler and pkg-config find `usr/include`, `usr/lib` |
 * | `/in/<folder>`    | output of each of `inputs`: plain data                                   |
 * | `/out`            | the output; laid out from the root (`usr/bin/zpool`)                     |
 *
 * Environment: `JOBS` (cores; also given through make's jobserver), `SOURCE_DATE_EPOCH`, `HOME=/build`, `LC_ALL=C`,
 * `VERSION` (of the first source) and `ANVIL_TARGET` (the target triple).
 */
export interface Recipe {
  readonly kind: "step";
  readonly name: string;
  /** Name of its folder in the sandboxes of others: its own, or that of the recipe whose place it takes there. */
  readonly folder: string;
  /** SPDX expression of what the output is made of. */
  readonly licence: string;
  readonly sources: readonly SourceRef[];
  /** Rust crates: lists of the channel, by name, and what lock files name that other recipes bring. */
  readonly crates: readonly (string | LockedCrates)[];
  /** Files and folders of this project, relative to its root. */
  readonly files: readonly string[];
  /** Gives the shell and the tools: mounted as the root of the sandbox. A recipe's output must hold usr/bin/bash. */
  readonly root: Root;
  readonly tools: readonly Output[];
  readonly link: readonly Output[];
  readonly inputs: readonly Output[];
  readonly env: Readonly<Record<string, string>>;
  /** Bash, run with `set -euo pipefail` in /build. */
  readonly script: Script;
  readonly proves: Proofs;
  /** What it takes for granted of its sources; not in the key (`assumption.ts`). */
  readonly assumes: Assumptions;
}

/** Binary packages of the seed, unpacked with all that they depend on; the closure is pinned by the channel. */
export interface Seed {
  readonly kind: "seed";
  readonly name: string;
  /** Package names; dependencies are added when the channel is locked. */
  readonly packages: readonly string[];
}

/** A newc cpio archive (an initramfs) of an output's tree, owned by root. The output is `<name>.cpio`. */
export interface CpioArchive {
  readonly kind: "cpio";
  readonly name: string;
  readonly tree: Output;
}

/** A seed, or a root that was built here and holds no program of a seed. */
export type Root = Seed | Recipe;

/** Whatever has an output in the store. */
export type Output = Recipe | Seed | CpioArchive;

export type RecipeFields = CommonFields & ({ seed: Seed } | { root: Root });

interface CommonFields {
  name: string;
  folder?: string;
  licence: string;
  source?: SourceRef | readonly SourceRef[];
  crates?: readonly (string | LockedCrates)[];
  files?: readonly string[];
  tools?: readonly Output[];
  link?: readonly Output[];
  inputs?: readonly Output[];
  env?: Readonly<Record<string, string>>;
  script: Script;
  proves: Proofs;
  assumes?: Assumptions;
}

export function recipe(fields: RecipeFields): Recipe {
  const { source } = fields;
  return Object.freeze({
    kind: "step",
    name: fields.name,
    folder: fields.folder ?? fields.name,
    licence: fields.licence,
    sources: source === undefined ? [] : Array.isArray(source) ? source : [source as SourceRef],
    crates: fields.crates ?? [],
    files: fields.files ?? [],
    root: "root" in fields ? fields.root : fields.seed,
    tools: fields.tools ?? [],
    link: fields.link ?? [],
    inputs: fields.inputs ?? [],
    env: fields.env ?? {},
    script: fields.script,
    proves: fields.proves,
    assumes: fields.assumes ?? [],
  });
}

export function seed(name: string, packages: readonly string[]): Seed {
  return Object.freeze({ kind: "seed", name, packages: [...packages].sort() });
}

export function cpio(name: string, tree: Output): CpioArchive {
  return Object.freeze({ kind: "cpio", name, tree });
}

/** Name of an output's folder in the sandboxes of those that use it. */
export function folderOf(output: Output): string {
  return output.kind === "step" ? output.folder : output.name;
}

/** What is proven of the output when its components have these versions. */
export function proofsOf({ proves }: Recipe, versions: Versions): readonly Proof[] {
  return typeof proves === "function" ? proves(versions) : proves;
}

/** What it takes for granted of its sources in these versions. */
export function assumptionsOf({ assumes }: Recipe, versions: Versions): readonly Assumption[] {
  return typeof assumes === "function" ? assumes(versions) : assumes;
}

/** True for outputs that ship: they must not see the seed's compiler. */
export function isRecipe(output: Output): output is Recipe {
  return output.kind === "step";
}
