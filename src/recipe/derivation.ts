/**
 * An evaluated recipe: everything that decides the bytes of an output, and nothing else. Its key is the SHA-256 of its
 * canonical JSON. Mount points stand in for names, keys for inputs: a derivation is what a Remote Execution API (v2)
 * Action is (command, environment, input digests, output paths).
 */
import type { LocalOrigin } from "./channel.ts";
import type { Proof } from "./proof.ts";

declare const brand: unique symbol;
/** Hex SHA-256 of a derivation. */
export type Key = string & { readonly [brand]: "key" };
/** Hex SHA-256 of a file's bytes or of a tree's listing. */
export type Digest = string & { readonly [brand]: "digest" };

/** One pinned file to download. Content-addressed: its key is that of the hash alone. */
export interface FetchDerivation {
  readonly kind: "fetch";
  readonly name: string;
  readonly version: string;
  readonly file: string;
  readonly archive: string | undefined;
  readonly urls: readonly string[];
  /** The name by which a registry of Rust crates knows it; absent for what does not come from one. */
  readonly crate?: string;
  readonly sha256: Digest | undefined;
  readonly size: number | undefined;
  readonly unverified: string | undefined;
  /** Taken from this machine: no place is known that has it. */
  readonly local?: LocalOrigin;
}

export interface Mount {
  /** Absolute path in the sandbox. */
  readonly at: string;
  readonly key: Key;
}

export interface SourceMount {
  readonly at: string;
  readonly sha256: Digest;
}

export interface FileMount {
  readonly at: string;
  /** Path relative to the project root, or a full one, for reading only: not part of the key. */
  readonly from: string;
  readonly sha256: Digest;
  readonly executable: boolean;
}

export interface StepDerivation {
  readonly kind: "step";
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  readonly root: Key;
  readonly mounts: readonly Mount[];
  readonly sources: readonly SourceMount[];
  readonly files: readonly FileMount[];
  readonly env: Readonly<Record<string, string>>;
  readonly script: string;
  readonly proves: readonly Proof[];
}

export interface SeedDerivation {
  readonly kind: "seed";
  readonly name: string;
  readonly version: string;
  readonly packages: readonly { readonly package: string; readonly sha256: Digest }[];
}

export interface CpioDerivation {
  readonly kind: "cpio";
  readonly name: string;
  readonly version: string;
  readonly epoch: number;
  readonly tree: Key;
}

export type Derivation = FetchDerivation | StepDerivation | SeedDerivation | CpioDerivation;
