/**
 * Refreshes pins from a Debian archive. The chain that covers each of them: the archive's key signs InRelease, that
 * lists the hashes of the indexes, and those the hashes of the files.
 */
import { Fault } from "../fault/fault.ts";
import type { Component, Package } from "../recipe/channel.ts";
import {
  readIndex,
  readSources,
  readSuite,
  type ReadArchive,
  type SourcePackage,
  type Suite,
} from "./archive-index.ts";
import { closure, readPackages } from "./closure.ts";
import { debianSources, seedSuite, type DebianSource } from "./debian-sources.ts";
import { compareDebianVersions, upstreamVersion } from "./debian-version.ts";
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

/** Closures of the seeds' packages, from the seed suite. */
export async function lockSeeds(
  archive: Archive,
  seeds: readonly { readonly name: string; readonly packages: readonly string[] }[],
): Promise<Record<string, readonly Package[]>> {
  const index = readPackages(await archive.index(seedSuite, "main/binary-amd64/Packages"));
  return Object.fromEntries(seeds.map(({ name, packages }) => [name, closure(index, packages)]));
}

/** SOURCE_DATE_EPOCH of the channel: the date of the seed suite, seconds since 1970. */
export async function lockEpoch(archive: Archive): Promise<number> {
  return (await archive.suite(seedSuite)).date;
}
