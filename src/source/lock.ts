/**
 * Refreshes pins from a Debian archive. The chain that covers each of them: the archive's key signs InRelease, that
 * lists the hashes of the indexes, and those the hashes of the files.
 */
import { open, rename, rm } from "node:fs/promises";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import type { Channel, Component, Package, Patches, Place } from "../recipe/channel.ts";
import type { SourcePackage } from "./archive-index.ts";
import { loadChannel } from "./channel.ts";
import { closure, readPackages, type PackageIndex } from "./closure.ts";
import type { ListedFile } from "./control.ts";
import { seedSuites } from "./seed-suites.ts";
import { compareDebianVersions, upstreamVersion } from "./debian-version.ts";
import { diskFault } from "./disk.ts";
import { readPackaging } from "./packaging.ts";
import { Archive, type ArchiveAccess } from "./signed-archive.ts";

/** What recipes name: components, and packages whose closures are pinned as seeds. */
export interface Wanted {
  readonly components: readonly string[];
  readonly seeds: readonly Seed[];
}

interface Seed {
  readonly name: string;
  readonly packages: readonly string[];
}

/** What a refresh did to a pin; `before` or `after` is undefined for one that came or went. */
export interface PinChange {
  /** `zfs`, `musl patches 1`, or `seed base: bash`. */
  readonly name: string;
  readonly before: Pin | undefined;
  readonly after: Pin | undefined;
}

export interface Pin {
  readonly version: string;
  readonly archive?: string;
  readonly sha256?: string;
  readonly verified?: "signed" | "recorded";
  /** Of patches. */
  readonly files?: readonly string[];
}

/** Why a pin is not what the archive lists. */
export interface Note {
  readonly name: string;
  readonly why: string;
}

/** A channel as it would be after a refresh, and how that differs from now. */
export interface Refresh {
  readonly channel: Channel;
  readonly changes: readonly PinChange[];
  readonly notes: readonly Note[];
  /** Release files are newer than those seen before: worth writing even without a change. */
  readonly newer: boolean;
}

/**
 * A channel with the pins of the named components and seeds (`seed-cc`) as the archive has them now; without names those
 * of all that recipes want: components that have a place, and the seeds, which all channels share, for the default one. A
 * lower version is taken only for a component that is named. Writes nothing. Throws E_CHANNEL, E_COMPONENT, E_PACKAGE,
 * and what reading the archive throws.
 */
export async function refreshChannel(
  projectRoot: string,
  name: string,
  access: ArchiveAccess,
  wanted: Wanted,
  names: readonly string[] = [],
): Promise<Refresh> {
  const before = await loadChannel(projectRoot, name);
  if (before.places === undefined) throw noPlaces(before);
  const archive = new Archive(access, before);
  const notes: Note[] = [];
  const whole = names.length === 0;
  const { components, seeds } = whole ? wantedOf(before, wanted, notes) : named(wanted, names);
  const pins: Record<string, Component> = {};
  for (const name of components) {
    const locked = await lockComponent(archive, before, name, !whole);
    pins[name] = locked.pin;
    notes.push(...locked.notes.map((why) => ({ name, why })));
  }
  const packages = await lockSeeds(archive, seeds, before.seeds);
  const suites = { ...before.suites, ...(await archive.dates()) };
  const kept = whole ? handKept(before, wanted) : before.components;
  const channel: Channel = {
    ...before,
    suites,
    components: { ...kept, ...pins },
    seeds: whole && before.default === true ? packages : { ...before.seeds, ...packages },
  };
  notes.push(...(await archive.expired()).map((why) => ({ name: "archive", why })));
  const newer = Object.entries(suites).some(([name, date]) => before.suites?.[name] !== date);
  return { channel, changes: changes(before, channel), notes, newer };
}

function named({ seeds }: Wanted, names: readonly string[]): Wanted {
  const called = (seed: Seed): boolean => names.includes(`seed-${seed.name}`);
  const seedNames = new Set(seeds.map(({ name }) => `seed-${name}`));
  return { components: names.filter((name) => !seedNames.has(name)), seeds: seeds.filter(called) };
}

/** A component that recipes want but neither places nor pins name is of another channel. */
function wantedOf(before: Channel, wanted: Wanted, notes: Note[]): Wanted {
  const { places = {} } = before;
  for (const name of Object.keys(handKept(before, wanted)))
    notes.push({ name, why: "has no place in the Debian archive: kept as it was pinned by hand" });
  return {
    components: wanted.components.filter((name) => name in places),
    seeds: before.default === true ? wanted.seeds : [],
  };
}

function handKept({ components, places = {} }: Channel, wanted: Wanted): Record<string, Component> {
  const kept = Object.entries(components).filter(([name]) => wanted.components.includes(name) && !(name in places));
  return Object.fromEntries(kept);
}

/** A version of a source package with its upstream tarball. */
export interface Candidate extends SourcePackage {
  readonly suite: string;
  readonly upstream: string;
  readonly tarball: ListedFile;
}

/** What the suites of a place list, newest first. */
export async function candidatesAt(archive: Archive, from: Place): Promise<Candidate[]> {
  const found: Candidate[] = [];
  for (const suite of from.suites) {
    for (const each of await archive.sources(suite, from.area ?? "main", from.package)) {
      const upstream = upstreamVersion(each.version);
      const tarball = each.files.find((file) => /\.orig\.tar\.(?:gz|bz2|xz)$/.test(file.path));
      if (tarball !== undefined && upstream.startsWith(from.series ?? ""))
        found.push({ ...each, suite, upstream, tarball });
    }
  }
  return found.sort((a, b) => compareDebianVersions(b.version, a.version));
}

/** Throws E_COMPONENT for a component that the channel pins otherwise, or not at all. */
export function placeOf({ name: channel, places = {} }: Pick<Channel, "name" | "places">, name: string): Place {
  const from = places[name];
  if (from !== undefined) return from;
  throw new Fault("E_COMPONENT", `${name} has no place in the Debian archive`, {
    hint: `places of ${channel}: ${Object.keys(places).join(", ")}`,
  });
}

function noPlaces({ name }: Channel): Fault {
  return new Fault("E_COMPONENT", `channel ${name} pins nothing from a Debian archive`, {
    hint: `its pins stand in channels/${name}.json and are edited by hand`,
  });
}

interface Locked {
  readonly pin: Component;
  readonly notes: readonly string[];
}

/** The pin of one component; `lower` allows a version below that of the pin. Throws E_COMPONENT. */
export async function lockComponent(
  archive: Archive,
  channel: Pick<Channel, "name" | "places" | "components">,
  name: string,
  lower = false,
): Promise<Locked> {
  const from = placeOf(channel, name);
  const pinned = channel.components[name];
  const candidates = await candidatesAt(archive, from);
  if (candidates.length === 0) throw missing(name, from);
  const notes: string[] = [];
  const chosen = await newestThere(archive, candidates, pinned, notes);
  if (chosen === undefined) {
    if (pinned === undefined) throw new Fault("E_COMPONENT", `${name}: ${notes[0]}`);
    return { pin: pinned, notes };
  }
  if (pinned !== undefined && !lower && compareDebianVersions(chosen.upstream, pinned.version) < 0) {
    notes.push(`kept: ${chosen.upstream} in ${chosen.suite} is lower than the pin; name the component to take it`);
    return { pin: pinned, notes };
  }
  const same = pinned?.sha256 === chosen.tarball.sha256;
  const files = candidates.filter(({ tarball }) => tarball.sha256 === chosen.tarball.sha256);
  const kept = { pinned: pinned?.patches ?? [], stale: !same, free: lower };
  const patches = await lockPatches(archive, files, kept, notes);
  const place = files.find(({ tarball }) => tarball.path === pinned?.archive) ?? chosen;
  const pin: Component = {
    version: chosen.upstream,
    archive: place.tarball.path,
    ...(same && pinned.urls !== undefined && { urls: pinned.urls }),
    sha256: chosen.tarball.sha256,
    size: chosen.tarball.size,
    verified: "signed",
    licence: from.licence,
    ...(patches.length > 0 && { patches }),
  };
  return { pin, notes };
}

/** The newest whose tarball is pinned already or on a mirror; what is passed over is noted. */
async function newestThere(
  archive: Archive,
  candidates: readonly Candidate[],
  pinned: Component | undefined,
  notes: string[],
): Promise<Candidate | undefined> {
  const passed = new Set<string>();
  for (const each of candidates) {
    const { tarball, upstream, suite } = each;
    if (passed.has(upstream) && !(await archive.has(tarball))) continue;
    if (tarball.sha256 === pinned?.sha256 || (await archive.has(tarball))) return inFirstSuite(each, candidates);
    passed.add(upstream);
    notes.push(`${upstream} is listed in ${suite}, but no mirror has ${path.posix.basename(tarball.path)}`);
  }
  return undefined;
}

/** A suite's security updates vanish from their archive once they are in the suite. */
function inFirstSuite(chosen: Candidate, candidates: readonly Candidate[]): Candidate {
  const same = candidates.filter(({ tarball }) => tarball.sha256 === chosen.tarball.sha256);
  return same.find(({ tarball }) => !tarball.path.startsWith("pool/updates/")) ?? chosen;
}

function missing(name: string, { suites, area = "main", package: source, series }: Place): Fault {
  const which = series === undefined ? "" : ` ${series}*`;
  return new Fault(
    "E_COMPONENT",
    `${suites.join(", ")} ${area}: no source package ${source}${which} with an upstream tarball, which is the component ${name}`,
  );
}

/** The packaging archive of a source package. */
export function packagingOf({ files }: SourcePackage): ListedFile | undefined {
  return files.find((file) => /\.debian\.tar\.(?:gz|bz2|xz)$/.test(file.path));
}

interface PinnedPatches {
  readonly pinned: readonly Patches[];
  /** Of another upstream version than what is chosen now. */
  readonly stale: boolean;
  /** What is not there any more may be given up: the component was named. */
  readonly free: boolean;
}

/**
 * The pinned patches as the newest packaging archive of the tarball has them, with the fixes that it has beside. Those
 * out of the archive of another version stay as long as the tarball does. `candidates` have that tarball.
 */
async function lockPatches(
  archive: Archive,
  candidates: readonly Candidate[],
  { pinned, stale, free }: PinnedPatches,
  notes: string[],
): Promise<Patches[]> {
  const files = pinned.flatMap((each) => each.files);
  if (stale) {
    const found = files.length === 0 ? undefined : await newestPatches(archive, candidates, files, notes);
    noteLost(files, found?.files ?? [], "given up", notes);
    return found === undefined || found.files.length === 0 ? [] : [found];
  }
  const locked: Patches[] = [];
  for (const each of pinned) {
    const own = candidates.some(({ upstream }) => upstream === upstreamVersion(packagingVersion(each)));
    const found = own ? await newestPatches(archive, candidates, each.files, notes, each) : each;
    const lost = found === undefined || each.files.some((file) => !found.files.includes(file));
    if (lost) noteLost(each.files, found?.files ?? [], free ? "given up" : "the pinned archive is kept", notes);
    const taken = lost && !free ? each : found;
    if (taken !== undefined && taken.files.length > 0) locked.push(taken);
  }
  return locked;
}

/** Undefined when no mirror has a packaging archive. */
async function newestPatches(
  archive: Archive,
  candidates: readonly Candidate[],
  wanted: readonly string[],
  notes: string[],
  pinned?: Patches,
): Promise<Patches | undefined> {
  for (const candidate of candidates) {
    const file = packagingOf(candidate);
    if (file === undefined) continue;
    if (file.sha256 === pinned?.sha256) return { ...pinned, verified: "signed" };
    const name = path.posix.basename(file.path);
    if (!(await archive.has(file))) {
      notes.push(`patches are listed in ${candidate.suite}, but no mirror has ${name}`);
      continue;
    }
    const { series, fixes } = await readPackaging(await archive.read(file), name);
    const files = series.filter((each) => wanted.includes(each) || fixes.has(each));
    return { archive: file.path, sha256: file.sha256, size: file.size, verified: "signed", files };
  }
  return pinned;
}

function noteLost(before: readonly string[], after: readonly string[], what: string, notes: string[]): void {
  const lost = before.filter((file) => !after.includes(file));
  if (lost.length > 0) notes.push(`the archive has no longer ${lost.join(", ")}: ${what}`);
}

/** Closures of the seeds' packages, from the seed suite and its security updates, as far as mirrors have them. */
export async function lockSeeds(
  archive: Archive,
  seeds: readonly Seed[],
  pinned: Channel["seeds"] = {},
): Promise<Record<string, readonly Package[]>> {
  if (seeds.length === 0) return {};
  const indexes = await Promise.all(seedSuites.map((suite) => archive.index(suite, "main/binary-amd64/Packages")));
  const known = new Set(Object.values(pinned).flatMap((packages) => packages.map(({ sha256 }) => sha256)));
  const absent = new Map<string, string>();
  for (;;) {
    const index = readPackages(indexes.join("\n\n"), absent);
    const locked = seeds.map(({ name, packages }): [string, Package[]] => [name, closureOf(index, packages, absent)]);
    const fresh = new Map(locked.flatMap(([, packages]) => packages.map((each) => [each.sha256, each.archive])));
    known.forEach((sha256) => fresh.delete(sha256));
    const found = await Promise.all(
      [...fresh].map(async ([sha256, archivePath]) => ({
        sha256,
        archivePath,
        here: await archive.has({ path: archivePath }),
      })),
    );
    const gone = found.filter(({ here }) => !here);
    gone.forEach(({ sha256, archivePath }) => absent.set(sha256, archivePath));
    if (gone.length > 0) continue;
    return Object.fromEntries(
      locked.map(([name, packages]) => [name, packages.map((each) => ({ ...each, verified: "signed" as const }))]),
    );
  }
}

/** `absent` are the paths of what is listed but on no mirror, by hash: a reason why something is missing. */
function closureOf(index: PackageIndex, names: readonly string[], absent: ReadonlyMap<string, string>): Package[] {
  try {
    return closure(index, names);
  } catch (error) {
    if (!(error instanceof Fault) || absent.size === 0) throw error;
    throw new Fault(error.code, error.message, {
      details: [...absent.values()].map((file) => `listed, but no mirror has ${file}`),
      hint: "the mirrors are in the middle of an update, or keep only a part: try again later or name another",
    });
  }
}

/** Writes `channels/<name>.json` and `channels/seed.json`: sorted by name, two blanks per level. */
export async function writeChannel(projectRoot: string, channel: Channel): Promise<void> {
  const { crates: _elsewhere, seeds, suites = {}, places = {}, components, ...rest } = channel;
  const folder = path.join(projectRoot, "channels");
  const pins = { suites: sorted(suites), places: sorted(places), components: sorted(components) };
  await replaceFile(path.join(folder, "seed.json"), sorted(seeds));
  await replaceFile(path.join(folder, `${channel.name}.json`), { ...rest, ...pins });
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

function pinOf({ version, archive, sha256, verified }: Pin): Pin {
  return {
    version,
    ...(archive !== undefined && { archive }),
    ...(sha256 !== undefined && { sha256 }),
    ...(verified !== undefined && { verified }),
  };
}

/** `musl_1.2.5-3.1~deb13u1.debian.tar.xz` is of 1.2.5-3.1~deb13u1. */
export function packagingVersion({ archive }: Pick<Patches, "archive">): string {
  return path.posix
    .basename(archive)
    .replace(/^[^_]*_/, "")
    .replace(/\.debian\.tar\.\w+$/, "");
}
