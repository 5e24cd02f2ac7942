/** What vouches for a release of an author: signature, list of checksums, a second place. */
import path from "node:path";
import { createReadStream } from "node:fs";
import { Fault } from "../fault/fault.ts";
import type { Component, Release } from "../recipe/channel.ts";
import type { AuthorKey, AuthorKeys } from "./author-keys.ts";
import { hashOf, unpacked, type Archive, type AuthorSites } from "./author-site.ts";
import { checksumOf, type Checksum } from "./checksums.ts";
import { day, judgeCleartext, judgeDetached, MOST_SIGNATURE, type Verdict } from "./openpgp.ts";
import { fill } from "./release-list.ts";

export interface ReleaseAccess {
  readonly sites: AuthorSites;
  readonly keys: AuthorKeys;
}

/** A release that is there, and what vouches for it. */
export interface Vouched {
  readonly sha256: string;
  readonly size: number | undefined;
  readonly urls: readonly string[];
  /** The author's key whose signature covers it. */
  readonly signer: AuthorKey | undefined;
  /** A line each, for a reader. */
  readonly evidence: readonly string[];
  /** That nothing vouches for it, in words. */
  readonly doubt: string | undefined;
}

/** A version of a component, and the pin of that very version. */
export interface Wanted {
  readonly name: string;
  readonly version: string;
  readonly release: Release;
  readonly pinned: Pick<Component, "sha256" | "size"> | undefined;
}

/**
 * Looks whether the author's site has a version as its signatures and checksums say; a text says what is not there. An archive
 * is downloaded only where there is something to be learnt from it. Throws E_SIGNATURE, E_SOURCE_HASH, E_KEYRING,
 * E_UNAVAILABLE.
 */
export async function vouch(wanted: Wanted, access: ReleaseAccess): Promise<Vouched | string> {
  const { release, version, pinned } = wanted;
  const urls = release.urls.map((url) => fill(url, version, release.series));
  const listed = await listedSum(wanted, access, urls);
  if (typeof listed === "string") return listed;
  const signature = await signatureOf(wanted, access);
  if (typeof signature === "string") return signature;
  const unread = listed?.sum.algorithm === "sha512";
  if (pinned?.sha256 !== undefined && signature === undefined && !unread)
    return { ...nothing, ...listed, sha256: pinned.sha256, size: pinned.size, urls };
  const archive = await archiveOf(wanted, access, urls, listed?.sum);
  if (archive === undefined) return `there is no ${urls.join(" and no ")}`;
  try {
    if (unread) await checkSum(wanted, archive, listed.sum);
    const signed = signature === undefined ? undefined : await judged(wanted, access, archive, signature);
    const compared = listed ?? signed ?? (await elsewhere(wanted, access, archive, urls));
    const evidence = [...(signed?.evidence ?? []), ...(listed?.evidence ?? [])];
    await access.sites.keep(archive);
    return {
      sha256: archive.sha256,
      size: archive.size,
      urls,
      signer: signed?.signer ?? listed?.signer,
      evidence: evidence.length > 0 ? evidence : compared.evidence,
      doubt: compared.doubt,
    };
  } catch (error) {
    await access.sites.release(archive);
    throw error;
  }
}

type Testimony = Pick<Vouched, "signer" | "evidence" | "doubt">;

const nothing: Testimony = { signer: undefined, evidence: [], doubt: undefined };

/** What the list of checksums says; undefined where there is none, a text when it lacks the version. */
async function listedSum(
  { name, version, release, pinned }: Wanted,
  { sites, keys }: ReleaseAccess,
  [first = ""]: readonly string[],
): Promise<(Testimony & { readonly sum: Checksum }) | string | undefined> {
  if (release.sums === undefined) return undefined;
  const url = fill(release.sums.url, version, release.series);
  const list = await sites.text(url);
  if (list === undefined) return `there is no ${url}`;
  const signed = release.sums.keys === undefined ? undefined : await signedList(list, url, release.sums.keys, keys);
  const file = path.posix.basename(new URL(first).pathname);
  const sum = sumIn(signed?.text ?? list, file, url);
  if (sum === undefined) return `${url} does not name ${file}`;
  if (sum.algorithm === "sha256" && pinned?.sha256 !== undefined && sum.hash !== pinned.sha256)
    throw otherFile(`${name} ${version}: the pin is not the file that its author lists`, pinned.sha256, sum.hash, [
      url,
    ]);
  return { ...nothing, ...signed, sum, evidence: signed?.evidence ?? [`as listed in ${url}`] };
}

function sumIn(list: string, file: string, url: string): Checksum | undefined {
  try {
    return checksumOf(list, file);
  } catch (error) {
    throw new Fault("E_SOURCE_HASH", `${url} contradicts itself: ${(error as Error).message}`);
  }
}

async function signedList(
  list: string,
  url: string,
  fingerprints: readonly string[],
  keys: AuthorKeys,
): Promise<Testimony & { readonly text: string }> {
  const mayHaveSigned = await keys.all(fingerprints);
  const { text, verdict } = await judgeCleartext(
    list,
    mayHaveSigned.map(({ key }) => key),
    url,
  );
  if (verdict.state === "bad") throw badSignature(`no signature of ${url} is good`, verdict.why, mayHaveSigned);
  return { text, ...testimony(verdict, mayHaveSigned, `as listed in ${url}, `) };
}

async function signatureOf(
  { version, release }: Wanted,
  { sites }: ReleaseAccess,
): Promise<Buffer | string | undefined> {
  if (release.signature === undefined) return undefined;
  const url = fill(release.signature.url, version, release.series);
  return (await sites.bytes(url, MOST_SIGNATURE)) ?? `there is no ${url}`;
}

async function archiveOf(
  { name, version, pinned }: Wanted,
  { sites }: ReleaseAccess,
  urls: readonly string[],
  sum: Checksum | undefined,
): Promise<Archive | undefined> {
  const here = pinned?.sha256 === undefined ? undefined : await sites.known(pinned.sha256);
  if (here !== undefined) return here;
  const listed = sum?.algorithm === "sha256" ? sum.hash : undefined;
  try {
    return await sites.archive(urls, { sha256: pinned?.sha256 ?? listed, size: pinned?.size });
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== "E_SOURCE_HASH") throw error;
    const says = pinned?.sha256 === undefined ? "its author lists" : "is pinned";
    throw new Fault(error.code, `${name} ${version}: its author's site has another file than ${says}`, {
      details: error.details,
      hint: HASH_HINT,
    });
  }
}

async function checkSum({ name, version }: Wanted, archive: Archive, { algorithm, hash }: Checksum): Promise<void> {
  const found = await hashOf(archive.path, algorithm);
  if (found !== hash)
    throw otherFile(`${name} ${version}: the archive is not the file that its author lists`, hash, found);
}

async function judged(
  { name, version, release }: Wanted,
  { keys }: ReleaseAccess,
  archive: Archive,
  bytes: Buffer,
): Promise<Testimony> {
  const { url = "", of, keys: fingerprints = [] } = release.signature ?? {};
  const file = path.posix.basename(release.urls[0] ?? "");
  const mayHaveSigned = await keys.all(fingerprints);
  const data = () => (of === undefined ? createReadStream(archive.path) : unpacked(archive.path, file));
  const verdict = await judgeDetached(
    data,
    bytes,
    mayHaveSigned.map(({ key }) => key),
  );
  if (verdict.state !== "bad") return testimony(verdict, mayHaveSigned);
  throw badSignature(
    `${name} ${version}: the signature ${fill(url, version, release.series)} is not good`,
    [...verdict.why, `archive sha256 ${archive.sha256}`],
    mayHaveSigned,
  );
}

/** A signature that could have been made later or by others counts as a checksum does. */
function testimony(verdict: Exclude<Verdict, { state: "bad" }>, keys: readonly AuthorKey[], before = ""): Testimony {
  const signer = keys.find(({ fingerprint }) => fingerprint === verdict.key);
  const by = signer === undefined ? verdict.key : describeKey(signer);
  switch (verdict.state) {
    case "good":
      return { ...nothing, signer, evidence: [`${before}signed by ${by}, on ${day(verdict.created)}`] };
    case "late": {
      const expired = verdict.expired === undefined ? "" : ` on ${day(verdict.expired)}`;
      const when = `signed on ${day(verdict.created)}, when the key had expired${expired} by its copy here`;
      return { ...nothing, evidence: [`${before}${when}, so that it only counts as recorded: ${by}`] };
    }
    case "weak":
      return { ...nothing, evidence: [`${before}the signature is too weak to count (${verdict.why}): ${by}`] };
  }
}

/** Who signed, and how the project knows that key. */
export function describeKey({ user, fingerprint, origin }: AuthorKey): string {
  return `${user}, key ${fingerprint}, as packaged with ${origin.package} ${origin.version}`;
}

/** Without signature and list: whether another place has the same. */
async function elsewhere(
  { name, version }: Wanted,
  { sites }: ReleaseAccess,
  archive: Archive,
  urls: readonly string[],
): Promise<Testimony> {
  const host = (url: string): string => new URL(url).host;
  const from = archive.from ?? "";
  for (const url of urls.filter((each) => host(each) !== host(from))) {
    const other = await sites.archive([url]).catch((error: unknown) => {
      if (error instanceof Fault && error.code === "E_UNAVAILABLE") return undefined;
      throw error;
    });
    if (other === undefined) continue;
    await sites.release(other);
    if (other.sha256 !== archive.sha256)
      throw otherFile(`${name} ${version}: two places have different files`, archive.sha256, other.sha256, [from, url]);
    return { ...nothing, evidence: [`the same file at ${host(from)} and ${host(url)}`] };
  }
  const doubt = `downloaded from ${host(from)} alone: no signature, checksum or second place vouches for it`;
  return { ...nothing, evidence: [doubt], doubt };
}

const HASH_HINT = "find out why before anything of it is built; nothing is written";

function otherFile(message: string, expected: string, got: string, places: readonly string[] = []): Fault {
  return new Fault("E_SOURCE_HASH", message, {
    details: [`one  ${expected}`, `other ${got}`, ...places],
    hint: HASH_HINT,
  });
}

function badSignature(message: string, why: readonly string[], keys: readonly AuthorKey[]): Fault {
  return new Fault("E_SIGNATURE", message, {
    details: [...why, ...keys.map((key) => `may sign: ${describeKey(key)}`)],
    hint: "nothing is written; a new key of the author goes into channels/keys after its origin was looked at",
  });
}
