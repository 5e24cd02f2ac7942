/** Pins from the release sites of authors: the newest version of a series, and what vouches for it. */
import { Fault } from "../fault/fault.ts";
import type { Channel, Component, Release } from "../recipe/channel.ts";
import type { Signer } from "./pin-changes.ts";
import { compareDebianVersions } from "./debian-version.ts";
import { checksumOf } from "./checksums.ts";
import { entryOf, fill, versionsIn } from "./release-list.ts";
import { vouch, type ReleaseAccess, type Vouched } from "./release-check.ts";

/** A component that could not be locked. */
export interface Problem {
  readonly name: string;
  readonly fault: Fault;
}

/** The pin of a component, as its author's site has it. */
export interface LockedRelease {
  readonly name: string;
  readonly pin: Component;
  /** What vouches for it, a line each. */
  readonly evidence: readonly string[];
  readonly signer: Signer | undefined;
  readonly notes: readonly string[];
}

export interface LockReleasesOptions {
  /** Whether signed pins are looked at as well: the components were named. */
  readonly again: boolean;
  readonly signal?: AbortSignal;
}

type Releases = Pick<Channel, "components" | "releases">;

/** How many components are looked at at once. */
const AT_ONCE = 4;
/** How many versions are tried that are listed and not there. */
const TRIES = 4;

/**
 * The pins of the components, and why some could not be found: one that fails does not stop the others. A version lower than
 * the pin is never taken.
 */
export async function lockReleases(
  channel: Releases,
  names: readonly string[],
  access: ReleaseAccess,
  { again, signal }: LockReleasesOptions,
): Promise<{ readonly locked: readonly LockedRelease[]; readonly problems: readonly Problem[] }> {
  const problems: Problem[] = [];
  const locked = await eachOf(names, async (name) => {
    try {
      return await lockRelease(channel, name, access, again);
    } catch (fault) {
      signal?.throwIfAborted();
      if (!(fault instanceof Fault)) throw fault;
      problems.push({ name, fault });
      return undefined;
    }
  });
  problems.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { locked: locked.filter((each) => each !== undefined), problems };
}

async function lockRelease(
  { components, releases = {} }: Releases,
  name: string,
  access: ReleaseAccess,
  again: boolean,
): Promise<LockedRelease> {
  const release = releases[name];
  if (release === undefined) throw new Fault("E_COMPONENT", `the channel does not say where ${name} is released`);
  const pinned = components[name];
  const notes: string[] = [];
  const newer = (await listed(name, release, access)).filter((version) => isNewer(version, pinned));
  for (const version of newer.slice(0, TRIES)) {
    const found = await vouch({ name, version, release, pinned: undefined }, access);
    if (typeof found !== "string") return newPin(name, version, { release, pinned, found, notes });
    notes.push(`${version} is listed, but ${found}`);
  }
  if (pinned === undefined) throw new Fault("E_COMPONENT", `${name}: ${notes[0] ?? "no version is there"}`);
  const known: LockedRelease = { name, pin: pinned, evidence: [], signer: undefined, notes };
  if (isCovered(pinned, release) && !again) return known;
  const found = await vouch({ name, version: pinned.version, release, pinned }, access);
  if (typeof found !== "string") return samePin(known, pinned, found);
  return { ...known, notes: [...notes, `${pinned.version} is pinned, but ${found}`] };
}

/** By its author's signature, or by an archive's where its author does not sign. */
function isCovered({ verified, signedBy }: Component, { signature, sums }: Release): boolean {
  const signs = signature !== undefined || sums?.keys !== undefined;
  return verified === "signed" && (signedBy !== undefined || !signs);
}

const isNewer = (version: string, pinned: Component | undefined): boolean =>
  pinned === undefined || compareDebianVersions(version, pinned.version) > 0;

/** Versions of the series, newest first. Throws E_COMPONENT for a list that is not there or has none. */
async function listed(name: string, release: Release, { sites }: ReleaseAccess): Promise<string[]> {
  const text = await sites.text(release.list);
  const versions = text === undefined ? [] : versionsIn(text, release);
  if (versions.length > 0) return versions;
  const what = text === undefined ? "is not there" : `names no ${fill(entryOf(release), "…", "")}`;
  const series = release.series === undefined ? "" : ` of the series ${release.series}`;
  throw new Fault("E_COMPONENT", `${name}: the list of its releases ${what}${text === undefined ? "" : series}`, {
    details: [release.list],
    hint: `its author may have moved it: correct "releases" in the channel's file`,
  });
}

interface NewPin {
  readonly release: Release;
  readonly pinned: Component | undefined;
  readonly found: Vouched;
  readonly notes: readonly string[];
}

function newPin(name: string, version: string, { release, pinned, found, notes }: NewPin): LockedRelease {
  const { sha256, size, signer, urls, evidence, doubt } = found;
  const pin: Component = {
    version,
    urls,
    sha256,
    ...(size !== undefined && { size }),
    verified: signer === undefined ? "recorded" : "signed",
    ...(signer !== undefined && { signedBy: signer.fingerprint }),
    ...(doubt !== undefined && { unverified: doubt }),
    licence: release.licence,
  };
  const patches = pinned?.patches?.flatMap(({ files }) => files) ?? [];
  const lost = `patches of ${pinned?.version} are given up, look whether ${version} has what they mend: ${patches.join(", ")}`;
  return { name, pin, evidence, signer: signerOf(found), notes: patches.length > 0 ? [...notes, lost] : notes };
}

/** The same file: what vouches for it can only become more. */
function samePin(known: LockedRelease, pinned: Component, found: Vouched): LockedRelease {
  const { version, archive, urls, sha256, size, verified, signedBy, unverified, licence, patches } = pinned;
  const { signer, doubt } = found;
  const key = signer?.fingerprint ?? signedBy;
  const doubtful = signer === undefined ? (sha256 === undefined ? doubt : unverified) : undefined;
  const bytes = size ?? found.size;
  const pin: Component = {
    version,
    ...(archive !== undefined && { archive }),
    ...(urls !== undefined && { urls }),
    sha256: found.sha256,
    ...(bytes !== undefined && { size: bytes }),
    verified: signer === undefined ? verified : "signed",
    ...(key !== undefined && { signedBy: key }),
    ...(doubtful !== undefined && { unverified: doubtful }),
    licence,
    ...(patches !== undefined && { patches }),
  };
  return { ...known, pin, evidence: found.evidence, signer: signerOf(found) };
}

function signerOf({ signer }: Vouched): Signer | undefined {
  return signer && { key: signer.fingerprint, user: signer.user, origin: signer.origin };
}

/** What became known of a component at its author's site. */
export interface ReleaseFinding {
  readonly name: string;
  readonly kind: "version" | "hash" | "unread";
  readonly what: string;
}

/** Newer versions, and lists of checksums that contradict the pins. Downloads lists, never an archive. */
export async function releaseNews(
  channel: Releases,
  names: readonly string[],
  access: ReleaseAccess,
  signal?: AbortSignal,
): Promise<ReleaseFinding[]> {
  const found = await eachOf(names, async (name) => {
    try {
      return await newsOf(channel, name, access);
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof Fault)) throw error;
      const { code, message, details } = error;
      return [{ name, kind: "unread" as const, what: [`${code} ${message}`, ...details].join("; ") }];
    }
  });
  return found.flat();
}

async function newsOf(
  { components, releases = {} }: Releases,
  name: string,
  access: ReleaseAccess,
): Promise<ReleaseFinding[]> {
  const release = releases[name];
  const pin = components[name];
  if (release === undefined || pin === undefined)
    throw new Fault("E_COMPONENT", `the channel does not pin ${name}, or not say where it is released`);
  const findings: ReleaseFinding[] = [];
  const [newest] = await listed(name, release, access);
  if (newest !== undefined && isNewer(newest, pin))
    findings.push({ name, kind: "version", what: `${newest} is in ${release.list}, pinned is ${pin.version}` });
  const sum = await listedHash(release, pin, access);
  if (sum !== undefined && sum !== pin.sha256)
    findings.push({ name, kind: "hash", what: `its author lists ${pin.version} as ${sum}, pinned is ${pin.sha256}` });
  return findings;
}

async function listedHash(
  { sums, urls, series }: Release,
  { version, sha256 }: Component,
  { sites }: ReleaseAccess,
): Promise<string | undefined> {
  if (sums === undefined || sha256 === undefined) return undefined;
  const list = await sites.text(fill(sums.url, version, series));
  const file = new URL(fill(urls[0] ?? "", version, series)).pathname.replace(/^.*\//, "");
  try {
    const sum = list === undefined ? undefined : checksumOf(list, file);
    return sum?.algorithm === "sha256" ? sum.hash : undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** In the order of the items, a few at once. */
async function eachOf<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const queue = [...items.entries()];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) results[next[0]] = await work(next[1]);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}
