/** The shape of `channels/*.json`. Pins only: versions, places, hashes. */
export interface Channel {
  readonly name: string;
  readonly description: string;
  /** Taken where nobody chose another: one channel of a project, which is proven. */
  readonly default?: true;
  /** That all of it was built and booted, and with which pins; absent where it never was. */
  readonly proven?: Proven;
  /** What is known of a channel that was never built whole. */
  readonly unproven?: string;
  /** SOURCE_DATE_EPOCH of every step: seconds since 1970. */
  readonly epoch: number;
  readonly components: Readonly<Record<string, Component>>;
  /** Where a Debian archive has the components whose pins are found there. */
  readonly places?: Readonly<Record<string, Place>>;
  /** Where their authors publish the components whose pins are found there. */
  readonly releases?: Readonly<Record<string, Release>>;
  /** Binary packages by seed name. The same in every channel. */
  readonly seeds: Readonly<Record<string, readonly Package[]>>;
  /** Suites of an archive that pins were taken from: date of the newest release file seen, ISO 8601 in UTC. */
  readonly suites?: Readonly<Record<string, string>>;
  /** Packages of a registry of Rust crates by list name. The same in every channel; none when absent. */
  readonly crates?: Readonly<Record<string, readonly Crate[]>>;
}

/** A source package of a Debian archive. */
export interface Place {
  readonly package: string;
  /** The newest version counts, in whichever it is; of the same one the file in the suite that stands first. */
  readonly suites: readonly string[];
  /** Main when absent. */
  readonly area?: "main" | "contrib";
  /** Only versions that begin so: a newer series is a decision, not an update. */
  readonly series?: string;
  /** SPDX expression of the part that is built here. */
  readonly licence: string;
}

/**
 * Where the author of a component publishes it. In all texts but `series`, `{version}` stands for a version, and `{rest}` for
 * what follows the series in it.
 */
export interface Release {
  /** What names the versions: the listing of a folder, a page, a list of checksums, or the refs of a git server. */
  readonly list: string;
  /** How a version is named there; the last part of the first of `urls` when absent. */
  readonly entry?: string;
  /** Only versions that begin so: a newer series is a decision, not an update. */
  readonly series?: string;
  /** Of the archive, best first. */
  readonly urls: readonly string[];
  readonly signature?: ReleaseSignature;
  readonly sums?: ReleaseSums;
  /** SPDX expression of the part that is built here. */
  readonly licence: string;
}

/** A detached OpenPGP signature. */
export interface ReleaseSignature {
  readonly url: string;
  /** What is signed is the archive as it is unpacked, as on kernel.org; the archive itself when absent. */
  readonly of?: "unpacked";
  /** Fingerprints of primary keys in `channels/keys`: one of them must have signed. */
  readonly keys: readonly string[];
}

/** A list of checksums, SHA-256 or SHA-512. */
export interface ReleaseSums {
  readonly url: string;
  /** As of a signature, for a list that is a cleartext-signed message; without keys it proves nothing. */
  readonly keys?: readonly string[];
}

export interface Proven {
  /** Day: YYYY-MM-DD. */
  readonly date: string;
  /** SHA-256 of the pins that it was built with (`pinsDigest`). */
  readonly pins: string;
  /** Names of the recipes that were built: a component counts where one of them needs it. */
  readonly built: readonly string[];
  readonly result: string;
}

export interface Component {
  readonly version: string;
  /** Path below a Debian mirror's root, or absolute upstream URLs; at least one of the two. */
  readonly archive?: string;
  readonly urls?: readonly string[];
  /** Hex. Absent only where nobody has recorded one: then `unverified` says so and the first download pins it. */
  readonly sha256?: string;
  /** Bytes. */
  readonly size?: number;
  /** How the pin was found; "signed" means that a signature that the forge checked covers it. */
  readonly verified: "signed" | "recorded";
  /** Fingerprint of the author's key (`channels/keys`) whose signature covers it; absent where it was another's. */
  readonly signedBy?: string;
  /** Why this pin is doubtful; such a source is refused without `--accept-unverified <name>`. */
  readonly unverified?: string;
  readonly licence: string;
  /**
   * Changes that the source needs before it is compiled: fixes that upstream's archive of this version lacks. Applied in
   * their order; one archive stands once.
   */
  readonly patches?: readonly Patches[];
  /** Taken from this machine in the place of the pin (`--source`); stands in no channel's file. */
  readonly local?: LocalOrigin;
}

/** What a source is that somebody named on this machine. */
export interface LocalOrigin {
  /** A folder, of which an archive was made, or an archive. */
  readonly kind: "tree" | "archive";
  /** Last part of its path. */
  readonly file: string;
}

/**
 * Patches out of a distributor's packaging archive (`debian.tar.xz`), applied with `patch -p1` in the order of `files`.
 * The archive has one top folder, which is left out of the names.
 */
export interface Patches {
  /** Path below a Debian mirror's root. */
  readonly archive: string;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
  readonly verified: "signed" | "recorded";
  /** `patches/<name>`: at least one. */
  readonly files: readonly string[];
}

/** A `.crate` file; a registry finds it by name and version, and `Cargo.lock` has the same hash. */
export interface Crate {
  readonly crate: string;
  readonly version: string;
  readonly sha256: string;
}

export interface Package {
  readonly package: string;
  readonly version: string;
  readonly archive: string;
  readonly sha256: string;
  readonly size: number;
  /** As of a component; "recorded" when absent. */
  readonly verified?: "signed" | "recorded";
}
