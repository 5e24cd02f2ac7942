/** All that there is to build, as one value: what `recipes/` hands to the program. */
import type { User } from "./image.ts";
import type { Ingot } from "./ingot.ts";
import type { Purge } from "./purge.ts";
import type { Output, Recipe, Seed } from "./recipe.ts";

/** Who gets into a system. */
export interface ImageOptions {
  /** A root shell without a password on every console, a rescue shell, and a boot menu that can be edited; or none of them. */
  readonly rootLogin: boolean;
  /** Ed25519 public keys whose ingots the system takes, 64 hexadecimal digits each. Without one it takes none. */
  readonly trust: readonly string[];
  /** SSH public keys, type and key in base64, of those who may log in as root. Without one there is no SSH server. */
  readonly logins: readonly string[];
}

/** The image that ships. */
export interface Image {
  /** Name of its recipe; one without root login has `closed` behind it, and so have the recipes that differ in it. */
  readonly name: string;
  readonly closed: string;
  /** The file in its output. */
  readonly file: string;
  /** Those who may log in, where the image names them; else root with the keys of whoever forges it. */
  readonly users?: Readonly<Record<string, User>>;
  make(options: ImageOptions): Recipe;
}

/** Steps that are built in a running system instead of the sandbox. */
export interface WorkshopRecipes {
  /** Those among all that these need that can be, each after those that it needs. */
  steps(trees: readonly Recipe[]): readonly Recipe[];
  /** The ingot that builds them there, for the ingot of this name. */
  ingot(name: string, steps: readonly Recipe[]): Ingot;
}

export interface Catalogue {
  readonly image: Image;
  readonly ingots: readonly Ingot[];
  /** What is not part of the image or of an ingot: tests, comparisons, optional parts. */
  readonly checks: readonly Output[];
  readonly seeds: {
    /** Shell, make, perl: what steps have for their root. */
    readonly base: Seed;
    /** With a compiler. */
    readonly cc: Seed;
    /** With QEMU and what makes images. */
    readonly vm: Seed;
    /** With a compiler for Rust, and cargo. */
    readonly rust: Seed;
  };
  readonly workshop: WorkshopRecipes;
  /** What is taken out of Firecracker before it is built. */
  readonly purge: Purge;
}
