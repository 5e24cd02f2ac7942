/** Pins of a channel: what a refresh changed in them, and the files that they stand in. */
import path from "node:path";
import type { Channel, Patches } from "../recipe/channel.ts";
import type { KeyOrigin } from "./author-keys.ts";
import { diskFault } from "../host/disk.ts";
import { replaceFile } from "../host/replace-file.ts";

/** What a refresh did to a pin; `before` or `after` is undefined for one that came or went. */
export interface PinChange {
  /** `zfs`, `musl patches 1`, or `seed base: bash`. */
  readonly name: string;
  readonly before: Pin | undefined;
  readonly after: Pin | undefined;
  /** Of a pin from an author's site: what vouches for it, a line each, and whose signature covers it. */
  readonly evidence?: readonly string[];
  readonly signer?: Signer;
}

/** A key of `channels/keys`. */
export interface Signer {
  readonly key: string;
  readonly user: string;
  readonly origin: KeyOrigin;
}

export interface Pin {
  readonly version: string;
  readonly archive?: string;
  readonly urls?: readonly string[];
  readonly sha256?: string;
  readonly size?: number;
  readonly verified?: "signed" | "recorded";
  readonly signedBy?: string;
  /** Of patches. */
  readonly files?: readonly string[];
}

/** By name. */
export function changes(before: Channel, after: Channel): PinChange[] {
  const old = pinsOf(before);
  const now = pinsOf(after);
  const names = [...new Set([...old.keys(), ...now.keys()])].sort();
  return names
    .map((name) => ({ name, before: old.get(name), after: now.get(name) }))
    .filter((change) => JSON.stringify(change.before) !== JSON.stringify(change.after));
}

function pinsOf({ components, seeds }: Channel): Map<string, Pin> {
  const pins = new Map<string, Pin>();
  for (const [name, { patches = [], ...component }] of Object.entries(components)) {
    pins.set(name, pinOf(component));
    patches.forEach((each, index) => {
      const pin = { ...pinOf({ ...each, version: packagingVersion(each) }), files: each.files };
      pins.set(`${name} patches ${index + 1}`, pin);
    });
  }
  for (const [seed, packages] of Object.entries(seeds))
    packages.forEach((each) => pins.set(`seed ${seed}: ${each.package}`, pinOf({ verified: "recorded", ...each })));
  return pins;
}

function pinOf({ version, archive, urls, sha256, size, verified, signedBy }: Pin): Pin {
  return {
    version,
    ...(archive !== undefined && { archive }),
    ...(urls !== undefined && { urls }),
    ...(sha256 !== undefined && { sha256 }),
    ...(size !== undefined && { size }),
    ...(verified !== undefined && { verified }),
    ...(signedBy !== undefined && { signedBy }),
  };
}

/** `musl_1.2.5-3.1~deb13u1.debian.tar.xz` is of 1.2.5-3.1~deb13u1. */
export function packagingVersion({ archive }: Pick<Patches, "archive">): string {
  return path.posix
    .basename(archive)
    .replace(/^[^_]*_/, "")
    .replace(/\.debian\.tar\.\w+$/, "");
}

/** Writes `channels/<name>.json` and `channels/seed.json`: sorted by name, two blanks per level. */
export function writeChannel(projectRoot: string, channel: Channel): void {
  const { crates: _elsewhere, seeds, suites, places, releases, components, ...rest } = channel;
  const folder = path.join(projectRoot, "channels");
  const pins = {
    ...(suites !== undefined && { suites: sorted(suites) }),
    ...(places !== undefined && { places: sorted(places) }),
    ...(releases !== undefined && { releases: sorted(releases) }),
    components: sorted(components),
  };
  write(path.join(folder, "seed.json"), sorted(seeds));
  write(path.join(folder, `${channel.name}.json`), { ...rest, ...pins });
}

function sorted<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function write(file: string, value: object): void {
  try {
    replaceFile(file, `${JSON.stringify(value, null, 2)}\n`, { flush: true });
  } catch (cause) {
    throw diskFault(cause, file) ?? cause;
  }
}
