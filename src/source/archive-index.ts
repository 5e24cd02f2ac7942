/**
 * Indexes of a Debian archive (https://wiki.debian.org/DebianRepository/Format): `dists/<suite>/InRelease` is signed
 * and lists the hashes of the indexes; those list the hashes of the files in the pool.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { Fault } from "../fault/fault.ts";
import { unxz } from "../format/xz.ts";
import { listedFiles, paragraphs, type ListedFile, type Paragraph } from "./control.ts";
import { download, urlsFor } from "./fetch.ts";
import { httpClient } from "./http.ts";
import type { DebianMirrors } from "./mirror.ts";
import { verifyCleartext, type Keyring } from "./openpgp.ts";

/**
 * Reads a file of the archive by its path below the root; where its hash is known, only that content will do. Throws
 * E_FETCH when no mirror has it, E_SOURCE_HASH when none has the right one.
 */
export type ReadArchive = (path: string, listed?: ListedFile) => Promise<Buffer>;

/** Bytes of a release file, which is the only one whose size nothing says: Debian's have some hundred thousand. */
const MOST_RELEASE = 1 << 25;
/** Bytes of an index once it is unpacked: Debian's largest have some fifty million. */
const MOST_INDEX = 1 << 29;

/** Reads from mirrors over HTTP. */
export function mirrorReader(mirrors: DebianMirrors, signal?: AbortSignal): ReadArchive {
  return async (archive, listed) => {
    const folder = await mkdtemp(path.join(tmpdir(), "anvil-lock-"));
    const to = path.join(folder, "file");
    try {
      await download({
        urls: urlsFor({ archive }, mirrors),
        to,
        name: archive,
        sha256: listed?.sha256,
        size: listed?.size,
        limit: MOST_RELEASE,
        mismatchHint: "the mirrors may be in the middle of an update; try again later or name another",
        ...(signal !== undefined && { signal }),
      });
      return await readFile(to);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  };
}

/** Milliseconds that a mirror has to say whether it has a file. */
const patience = 30_000;

/** Whether a mirror answers for a file, by HTTP's HEAD. */
export function mirrorHas(
  mirrors: DebianMirrors,
  signal?: AbortSignal,
): (file: Pick<ListedFile, "path">) => Promise<boolean> {
  return async ({ path: archive }) => {
    for (const url of urlsFor({ archive }, mirrors)) {
      try {
        const request = { method: "HEAD", limit: patience, ...(signal !== undefined && { signal }) } as const;
        const response = await httpClient().request(url, request);
        response.discard();
        // some servers know no HEAD
        if (response.status < 400 || response.status === 405 || response.status === 501) return true;
      } catch {
        signal?.throwIfAborted();
      }
    }
    return false;
  };
}

export interface Suite {
  readonly name: string;
  /** Seconds since 1970 of the release file. */
  readonly date: number;
  /** The day until which the release file was valid, where that is past, as it stands there. */
  readonly expired?: string;
  readonly signedBy: readonly string[];
  /** Indexes by path below `dists/<name>/`. */
  readonly indexes: ReadonlyMap<string, ListedFile>;
}

/**
 * A suite's release file. Throws E_SIGNATURE unless a key of the ring signed it, and E_ARCHIVE_EXPIRED when it is no longer
 * valid, unless that is accepted.
 */
export async function readSuite(
  read: ReadArchive,
  name: string,
  keyring: Keyring,
  acceptExpired = false,
): Promise<Suite> {
  const where = `dists/${name}/InRelease`;
  const { text, signedBy } = await verifyCleartext((await read(where)).toString("utf8"), keyring, where);
  const [release] = paragraphs(text);
  const date = Date.parse(release?.get("date") ?? "");
  const names = [release?.get("suite"), release?.get("codename")];
  // A signature alone would let a mirror pass an older or another suite off as this one.
  if (!names.includes(name)) {
    throw new Fault("E_SIGNATURE", `${where} is the release file of ${names.join(", ")}`);
  }
  const until = release?.get("valid-until");
  const expired = until !== undefined && !(Date.parse(until) >= Date.now()) ? until : undefined;
  if (expired !== undefined && !acceptExpired) {
    throw new Fault("E_ARCHIVE_EXPIRED", `${where} was valid until ${expired}`, {
      hint:
        "the mirror no longer follows the archive: name another; or the clock of this machine is wrong; " +
        "--accept-expired takes an archive that stands still, such as a snapshot",
    });
  }
  if (Number.isNaN(date)) throw new Fault("E_ARCHIVE_INDEX", `${where} has no date`);
  const indexes = new Map(listedFiles(release?.get("sha256")).map((file) => [file.path, file]));
  return { name, date: date / 1000, ...(expired !== undefined && { expired }), signedBy, indexes };
}

/** The text of an index such as `main/source/Sources`, in the smallest form that the suite lists. */
export async function readIndex(read: ReadArchive, suite: Suite, index: string, most = MOST_INDEX): Promise<string> {
  for (const ending of [".xz", ".gz", ""]) {
    const listed = suite.indexes.get(index + ending);
    if (listed === undefined) continue;
    return decompress(await read(`dists/${suite.name}/${index}${ending}`, listed), ending, { index, most });
  }
  throw new Fault("E_ARCHIVE_INDEX", `suite ${suite.name} has no index ${index}`);
}

interface Unpacked {
  readonly index: string;
  /** Bytes that it may unpack to. */
  readonly most: number;
}

async function decompress(bytes: Buffer, ending: string, { index, most }: Unpacked): Promise<string> {
  if (ending === "") return bytes.toString("utf8");
  const unpacked = ending === ".gz" ? Readable.from([bytes]).pipe(createGunzip()) : unxz(Readable.from([bytes]));
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of unpacked as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > most) throw new Fault("E_ARCHIVE_INDEX", `${index} unpacks to more than ${most} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

export interface SourcePackage {
  readonly package: string;
  /** Debian version: `[epoch:]upstream[-revision]`. */
  readonly version: string;
  /** Files of the package, paths below the archive's root. */
  readonly files: readonly ListedFile[];
}

/** Paragraphs of a `Sources` index whose package is one of the wanted. */
export function readSources(text: string, wanted: ReadonlySet<string>): SourcePackage[] {
  const found: SourcePackage[] = [];
  for (const fields of paragraphs(text)) {
    const name = fields.get("package");
    if (name !== undefined && wanted.has(name)) found.push(sourcePackage(name, fields));
  }
  return found;
}

function sourcePackage(name: string, fields: Paragraph): SourcePackage {
  const directory = fields.get("directory") ?? "";
  const files = listedFiles(fields.get("checksums-sha256"));
  return {
    package: name,
    version: fields.get("version") ?? "",
    files: files.map((file) => ({ ...file, path: `${directory}/${file.path}` })),
  };
}
