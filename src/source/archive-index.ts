/**
 * Indexes of a Debian archive (https://wiki.debian.org/DebianRepository/Format): `dists/<suite>/InRelease` is signed
 * and lists the hashes of the indexes; those list the hashes of the files in the pool.
 */
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { gunzipSync } from "node:zlib";
import { Fault } from "../fault/fault.ts";
import { unxz } from "../format/xz.ts";
import { listedFiles, paragraphs, type ListedFile, type Paragraph } from "./control.ts";
import { verifyCleartext, type Keyring } from "./openpgp.ts";

/** Reads a file of the archive by its path below the root. Throws E_FETCH when no mirror has it. */
export type ReadArchive = (path: string) => Promise<Buffer>;

export interface Suite {
  readonly name: string;
  /** Seconds since 1970 of the release file. */
  readonly date: number;
  readonly signedBy: readonly string[];
  /** Indexes by path below `dists/<name>/`. */
  readonly indexes: ReadonlyMap<string, ListedFile>;
}

/** A suite's release file. Throws E_SIGNATURE unless a key of the ring signed it. */
export async function readSuite(read: ReadArchive, name: string, keyring: Keyring): Promise<Suite> {
  const where = `dists/${name}/InRelease`;
  const { text, signedBy } = await verifyCleartext((await read(where)).toString("utf8"), keyring, where);
  const [release] = paragraphs(text);
  const date = Date.parse(release?.get("date") ?? "");
  const names = [release?.get("suite"), release?.get("codename")];
  // A signature alone would let a mirror pass an older or another suite off as this one.
  if (!names.includes(name)) {
    throw new Fault("E_SIGNATURE", `${where} is the release file of ${names.join(", ")}`);
  }
  if (Number.isNaN(date)) throw new Fault("E_ARCHIVE_INDEX", `${where} has no date`);
  const indexes = new Map(listedFiles(release?.get("sha256")).map((file) => [file.path, file]));
  return { name, date: date / 1000, signedBy, indexes };
}

/** The text of an index such as `main/source/Sources`. Throws E_SOURCE_HASH when it is not what the suite lists. */
export async function readIndex(read: ReadArchive, suite: Suite, index: string): Promise<string> {
  for (const ending of [".xz", ".gz", ""]) {
    const listed = suite.indexes.get(index + ending);
    if (listed === undefined) continue;
    const where = `dists/${suite.name}/${index}${ending}`;
    const bytes = await read(where);
    const got = createHash("sha256").update(bytes).digest("hex");
    if (got !== listed.sha256) {
      throw new Fault("E_SOURCE_HASH", `${where} is not the file that the suite's signed release file lists`, {
        details: [`expected sha256 ${listed.sha256}`, `got             ${got}`],
        hint: "the mirror is being updated or is broken; try again later or name another with --debian-mirror",
      });
    }
    return decompress(bytes, ending);
  }
  throw new Fault("E_ARCHIVE_INDEX", `suite ${suite.name} has no index ${index}`);
}

async function decompress(bytes: Buffer, ending: string): Promise<string> {
  if (ending === ".gz") return gunzipSync(bytes).toString("utf8");
  if (ending === "") return bytes.toString("utf8");
  const chunks: Buffer[] = [];
  for await (const chunk of unxz(Readable.from([bytes]))) chunks.push(chunk as Buffer);
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
