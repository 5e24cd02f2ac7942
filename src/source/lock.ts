/**
 * Refreshes pins from a Debian archive, and from the release sites of authors (`releases.ts`). The chain that covers a pin
 * from an archive: its key signs InRelease, that lists the hashes of the indexes, and those the hashes of the files.
 */
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import type { Channel, Component, Package, Patches, Place } from "../recipe/channel.ts";
import type { SourcePackage } from "./archive-index.ts";
import { loadChannel } from "./channel.ts";
import { closure, readPackages, type PackageIndex } from "./closure.ts";
import type { ListedFile } from "./control.ts";
import { seedSuites } from "./seed-suites.ts";
import { compareDebianVersions, upstreamVersion } from "./debian-version.ts";
import { readPackaging } from "./packaging.ts";
import { changes, packagingVersion, type PinChange } from "./pin-changes.ts";
import type { ReleaseAccess } from "./release-check.ts";
import { lockReleases, type LockedRelease, type Problem } from "./releases.ts";
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
  /** Components that could not be locked at their authors' sites; their pins are as before. */
  readonly problems: readonly Problem[];
  /** Release files are newer than those seen before: worth writing even without a change. */
  readonly newer: boolean;
}

/** Whether a refresh may be written: nothing is, beside a file that is another than it should be. */
export function isWritable({ problems }: Pick<Refresh, "problems">): boolean {
  return problems.every(({ fault }) => fault.code !== "E_SIGNATURE" && fault.code !== "E_SOURCE_HASH");
}

/** Each is asked for when it is needed. */
export interface LockAccess {
  readonly archive: () => Promise<ArchiveAccess>;
  readonly releases: () => ReleaseAccess;
  readonly signal?: AbortSignal;
}

/**
 * A channel with the pins of the named components and seeds (`seed-cc`) as the archive and the authors have them now; without
 * names those of all that recipes want: components that have a place or releases, and the seeds, which all channels share, for
 * the default one. A lower version is taken only from the archive, for a component that is named. Writes nothing. Throws
 * E_CHANNEL, E_COMPONENT, E_PACKAGE, and what reading the archive throws.
 */
export async function refreshChannel(
  projectRoot: string,
  name: string,
  access: LockAccess,
  wanted: Wanted,
  names: readonly string[] = [],
): Promise<Refresh> {
  const before = await loadChannel(projectRoot, name);
  if (before.places === undefined && before.releases === undefined) throw noPlaces(before);
  const archive = once(async () => new Archive(await access.archive(), before));
  const { signal } = access;
  const notes: Note[] = [];
  const whole = names.length === 0;
  const { components, seeds } = whole ? wantedOf(before, wanted, notes) : named(wanted, names);
  const released = components.filter((each) => each in (before.releases ?? {}));
  const pins: Record<string, Component> = {};
  for (const name of components.filter((each) => !released.includes(each))) {
    const locked = await lockComponent(await archive(), before, name, !whole);
    pins[name] = locked.pin;
    notes.push(...locked.notes.map((why) => ({ name, why })));
  }
  const { locked, problems } =
    released.length === 0
      ? none
      : await lockReleases(before, released, access.releases(), { again: !whole, ...(signal && { signal }) });
  const evidence = new Map<string, LockedRelease>();
  for (const each of [...locked, ...asPinned(before, problems)]) {
    const also = await alsoInArchive(archive, before, each);
    evidence.set(each.name, also);
    pins[each.name] = also.pin;
    notes.push(...also.notes.map((why) => ({ name: each.name, why })));
  }
  const packages = seeds.length === 0 ? {} : await lockSeeds(await archive(), seeds, before.seeds);
  const read = await archive.made();
  const suites = { ...before.suites, ...(await read?.dates()) };
  const kept = whole ? handKept(before, wanted) : before.components;
  const channel: Channel = {
    ...before,
    ...((before.suites !== undefined || read !== undefined) && { suites }),
    components: { ...kept, ...pins },
    seeds: whole && before.default === true ? packages : { ...before.seeds, ...packages },
  };
  notes.push(...((await read?.expired()) ?? []).map((why) => ({ name: "archive", why })));
  const newer = Object.entries(suites).some(([name, date]) => before.suites?.[name] !== date);
  const changed = changes(before, channel).map((change) => withEvidence(change, evidence.get(change.name)));
  return { channel, changes: changed, notes, problems, newer };
}

const none = { locked: [], problems: [] };

type Once<T> = (() => Promise<T>) & { readonly made: () => Promise<T | undefined> };

/** `made` is what was made, if it was asked for and could be. */
function once<T>(make: () => Promise<T>): Once<T> {
  let made: Promise<T> | undefined;
  return Object.assign(() => (made ??= make()), { made: async () => made?.catch(() => undefined) });
}

function withEvidence(change: PinChange, found: LockedRelease | undefined): PinChange {
  if (found === undefined) return change;
  const { evidence, signer } = found;
  return { ...change, evidence, ...(signer !== undefined && { signer }) };
}

/** Pins of components whose authors' sites could not be asked. */
function asPinned({ components }: Channel, problems: readonly Problem[]): LockedRelease[] {
  return problems.flatMap(({ name, fault }) => {
    const pin = components[name];
    if (pin === undefined || fault.code !== "E_UNAVAILABLE") return [];
    return [{ name, pin, evidence: [], signer: undefined, notes: [] }];
  });
}

/**
 * A release that its author's signature does not cover, and that a Debian archive has as well: then the archive's signature
 * covers it. An archive that cannot be asked changes nothing.
 */
async function alsoInArchive(
  archive: () => Promise<Archive>,
  { places = {} }: Channel,
  locked: LockedRelease,
): Promise<LockedRelease> {
  const { name, pin, evidence, notes } = locked;
  const place = places[name];
  if (place === undefined || pin.verified === "signed") return locked;
  try {
    const found = (await candidatesAt(await archive(), place)).find(({ tarball }) => tarball.sha256 === pin.sha256);
    if (found === undefined) return locked;
    const { unverified: _gone, version, archive: known, ...rest } = pin;
    const text = `the same file as ${path.posix.basename(found.tarball.path)} in ${found.suite}, which the archive's signature covers`;
    return {
      ...locked,
      pin: { version, archive: known ?? found.tarball.path, ...rest, verified: "signed" },
      evidence: [...evidence, text],
    };
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return { ...locked, notes: [...notes, `was not looked for in the Debian archive: ${error.code} ${error.message}`] };
  }
}

function named({ seeds }: Wanted, names: readonly string[]): Wanted {
  const called = (seed: Seed): boolean => names.includes(`seed-${seed.name}`);
  const seedNames = new Set(seeds.map(({ name }) => `seed-${name}`));
  return { components: names.filter((name) => !seedNames.has(name)), seeds: seeds.filter(called) };
}

/** A component that recipes want but neither places nor pins name is of another channel. */
function wantedOf(before: Channel, wanted: Wanted, notes: Note[]): Wanted {
  const { components, places = {}, releases = {} } = before;
  for (const name of Object.keys(handKept(before, wanted)))
    if (!(name in releases))
      notes.push({ name, why: "neither a place nor releases are known: kept as it was pinned by hand" });
  return {
    // what an author publishes stays pinned, whoever uses it
    components: [...new Set([...wanted.components, ...Object.keys(components)])].filter(
      (name) => name in releases || (name in places && wanted.components.includes(name)),
    ),
    seeds: before.default === true ? wanted.seeds : [],
  };
}

function handKept({ components, places = {}, releases = {} }: Channel, wanted: Wanted): Record<string, Component> {
  const kept = Object.entries(components).filter(
    ([name]) => name in releases || (wanted.components.includes(name) && !(name in places)),
  );
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
  throw new Fault(
    "E_COMPONENT",
    `channel ${channel} names neither a place in the Debian archive for ${name}, nor releases`,
    {
      hint: `places of ${channel}: ${Object.keys(places).join(", ")}`,
    },
  );
}

/** What is said of a channel whose file is edited by hand. */
export function noPlaces({ name }: Channel): Fault {
  return new Fault("E_COMPONENT", `channel ${name} says of nothing where it comes from`, {
    hint: `its file, channels/${name}.json, has neither "places" nor "releases": its pins are edited by hand`,
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
