/**
 * Refreshes pins from a Debian archive. The chain that covers each of them: the archive's key signs InRelease, that
 * lists the hashes of the indexes, and those the hashes of the files.
 */
import { open, rename, rm } from "node:fs/promises";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import type { Channel, Component, Package } from "../recipe/channel.ts";
import {
  readIndex,
  readSources,
  readSuite,
  type ReadArchive,
  type SourcePackage,
  type Suite,
} from "./archive-index.ts";
import { loadChannel } from "./channel.ts";
import { closure, readPackages } from "./closure.ts";
import { debianSources, seedSuite, seedSuites, type DebianSource } from "./debian-sources.ts";
import { compareDebianVersions, upstreamVersion } from "./debian-version.ts";
import { diskFault } from "./disk.ts";
import type { Keyring } from "./openpgp.ts";

/** An archive whose release files are verified with a keyring; suites and indexes are read once. */
export class Archive {
  private readonly suites = new Map<string, Promise<Suite>>();
  private readonly indexes = new Map<string, Promise<string>>();

  constructor(
    private readonly read: ReadArchive,
    private readonly keyring: Keyring,
  ) {}

  suite(name: string): Promise<Suite> {
    return remember(this.suites, name, () => readSuite(this.read, name, this.keyring));
  }

  async index(suite: string, path: string): Promise<string> {
    const release = await this.suite(suite);
    return remember(this.indexes, `${suite} ${path}`, () => readIndex(this.read, release, path));
  }
}

function remember<T>(known: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const value = known.get(key) ?? make();
  known.set(key, value);
  return value;
}

/** Pins of the named components as the archive has them now. Throws E_COMPONENT for a name that it cannot give. */
export async function lockComponents(
  archive: Archive,
  names: readonly string[] = Object.keys(debianSources),
): Promise<Record<string, Component>> {
  const pins: Record<string, Component> = {};
  for (const name of names) pins[name] = await lockComponent(archive, name);
  return pins;
}

async function lockComponent(archive: Archive, name: string): Promise<Component> {
  const from = debianSources[name];
  if (from === undefined) {
    throw new Fault("E_COMPONENT", `${name} has no place in the Debian archive`, {
      hint: `known are ${Object.keys(debianSources).join(", ")}`,
    });
  }
  const sources = readSources(await archive.index(from.suite, `${from.area}/source/Sources`), new Set([from.package]));
  const newest = sources.sort((a, b) => compareDebianVersions(b.version, a.version))[0];
  const tarball = newest?.files.find((file) => /\.orig\.tar\.(?:gz|bz2|xz)$/.test(file.path));
  if (newest === undefined || tarball === undefined) throw missing(name, from, newest);
  return {
    version: upstreamVersion(newest.version),
    archive: tarball.path,
    sha256: tarball.sha256,
    size: tarball.size,
    verified: "signed",
    licence: from.licence,
  };
}

function missing(name: string, from: DebianSource, found: SourcePackage | undefined): Fault {
  const where = `${from.suite} ${from.area}`;
  return new Fault(
    "E_COMPONENT",
    found === undefined
      ? `${where} has no source package ${from.package}, which is the component ${name}`
      : `${from.package} ${found.version} in ${where} has no upstream tarball`,
  );
}

/** Closures of the seeds' packages, from the seed suite and its security updates. */
export async function lockSeeds(
  archive: Archive,
  seeds: readonly { readonly name: string; readonly packages: readonly string[] }[],
): Promise<Record<string, readonly Package[]>> {
  if (seeds.length === 0) return {};
  const indexes = await Promise.all(seedSuites.map((suite) => archive.index(suite, "main/binary-amd64/Packages")));
  const index = readPackages(indexes.join("\n\n"));
  return Object.fromEntries(seeds.map(({ name, packages }) => [name, closure(index, packages)]));
}

/** What a refresh did to a pin; `before` or `after` is undefined for one that came or went. */
export interface PinChange {
  /** `zfs`, or `seed base: bash`. */
  readonly name: string;
  readonly before: Pin | undefined;
  readonly after: Pin | undefined;
}

type Pin = Pick<Package, "version"> & { readonly sha256?: string };

/** A channel as it would be after a refresh, and how that differs from now. */
export interface Refresh {
  readonly channel: Channel;
  readonly changes: readonly PinChange[];
}

/** Seeds as recipes name them: packages whose closures are pinned. */
export type SeedNames = readonly { readonly name: string; readonly packages: readonly string[] }[];

/**
 * The channel `debian` with the pins of the named components and seeds (`seed-cc`) as the archive has them now; without
 * names all of them. Writes nothing. Throws E_COMPONENT, E_PACKAGE, and what reading the archive throws.
 */
export async function refreshChannel(
  projectRoot: string,
  archive: Archive,
  seeds: SeedNames,
  names: readonly string[] = [],
): Promise<Refresh> {
  const before = await loadChannel(projectRoot, "debian");
  const whole = names.length === 0;
  const seedNames = new Set(seeds.map(({ name }) => `seed-${name}`));
  const namedSeeds = seeds.filter(({ name }) => names.includes(`seed-${name}`));
  const pins = await lockComponents(archive, whole ? undefined : names.filter((name) => !seedNames.has(name)));
  const packages = await lockSeeds(archive, whole ? seeds : namedSeeds);
  const channel: Channel = {
    name: before.name,
    description: before.description,
    // the date of the seed suite, which does not change any more
    epoch: whole ? (await archive.suite(seedSuite)).date : before.epoch,
    components: whole ? pins : { ...before.components, ...pins },
    seeds: whole ? packages : { ...before.seeds, ...packages },
    // an archive of Debian has no say in these
    ...(before.crates !== undefined && { crates: before.crates }),
  };
  return { channel, changes: changes(before, channel) };
}

/** Writes `channels/<name>.json` and `channels/seed.json`: sorted by name, two blanks per level. */
export async function writeChannel(projectRoot: string, { seeds, ...rest }: Channel): Promise<void> {
  const { crates: _elsewhere, ...channel } = rest;
  const folder = path.join(projectRoot, "channels");
  await replaceFile(path.join(folder, "seed.json"), sorted(seeds));
  await replaceFile(path.join(folder, `${channel.name}.json`), { ...channel, components: sorted(channel.components) });
}

function sorted<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function replaceFile(file: string, value: object): Promise<void> {
  const next = `${file}.${process.pid}`;
  try {
    const handle = await open(next, "w");
    try {
      await handle.writeFile(`${JSON.stringify(value, null, 2)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(next, file);
  } catch (cause) {
    await rm(next, { force: true });
    throw diskFault(cause, file) ?? cause;
  }
}

function changes(before: Channel, after: Channel): PinChange[] {
  const old = pinsOf(before);
  const now = pinsOf(after);
  const names = [...new Set([...old.keys(), ...now.keys()])].sort();
  return names
    .map((name) => ({ name, before: old.get(name), after: now.get(name) }))
    .filter((change) => change.before?.sha256 !== change.after?.sha256);
}

function pinsOf({ components, seeds }: Channel): Map<string, Pin> {
  return new Map<string, Pin>([
    ...Object.entries(components),
    ...Object.entries(seeds).flatMap(([seed, packages]) =>
      packages.map((each): [string, Pin] => [`seed ${seed}: ${each.package}`, each]),
    ),
  ]);
}
