/**
 * Archives of the "newc" format, which the kernel unpacks as its initramfs. Follows
 * Documentation/driver-api/early-userspace/buffer-format.rst of Linux.
 */
import { take, type ByteSource } from "./byte-source.ts";
import { FormatError } from "./format-error.ts";

const magic = "070701";
const headerSize = 110;
const trailer = "TRAILER!!!";
const blockSize = 512;
const largest = 0xffffffff;
/** PATH_MAX: the kernel skips entries with a longer name (its NUL counted) or link target. */
const longest = 4096;

/** What the type bits of `st_mode` are for each kind of entry. */
export const fileType = {
  file: 0o100000,
  folder: 0o040000,
  link: 0o120000,
  "character-device": 0o020000,
  "block-device": 0o060000,
  fifo: 0o010000,
} as const;

interface CommonFields {
  /** Relative to the root, separated by "/", without "." and "..". */
  readonly path: string;
  /** Permission bits, at most 0o7777. */
  readonly mode: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  /** 0 when absent. */
  readonly uid?: number;
  readonly gid?: number;
}

export type CpioEntry = CommonFields &
  (
    | {
        readonly kind: "file";
        /** Bytes that `data` gives. */
        readonly size: number;
        /** Called once, when the archive has come to this entry. */
        readonly data: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
      }
    | { readonly kind: "folder" }
    | { readonly kind: "link"; readonly target: string }
    | { readonly kind: "character-device" | "block-device"; readonly major: number; readonly minor: number }
  );

/** An entry of an archive that was read. */
export interface CpioRecord {
  readonly path: string;
  readonly inode: number;
  /** File type and permission bits, as in `st_mode`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  /** Device number of a device node. */
  readonly rdev: { readonly major: number; readonly minor: number };
  /** Position and length of the contents (of a link: its target) in the archive, in bytes. */
  readonly offset: number;
  readonly size: number;
}

/**
 * The bytes of an archive, piece by piece. Entries are sorted by the bytes of their paths, which puts every folder
 * before what it holds; inode numbers count from 1. The same entries in any order give the same bytes.
 * Throws FormatError, before the first byte, for two entries of one path, an entry without its folder (the kernel would
 * drop it without a word) and a field that does not fit; later, when a file's data is not of the size announced.
 */
export async function* encodeCpio(entries: Iterable<CpioEntry>): AsyncGenerator<Uint8Array, void, undefined> {
  const sorted = [...entries].map((entry) => ({ entry, name: Buffer.from(entry.path) }));
  sorted.sort((a, b) => Buffer.compare(a.name, b.name));
  checkTree(sorted.map(({ entry }) => entry));

  let written = 0;
  for (const [index, { entry }] of sorted.entries()) {
    const target = entry.kind === "link" ? Buffer.from(entry.target) : undefined;
    const size = entry.kind === "file" ? entry.size : (target?.length ?? 0);
    const header = encodeHeader(entry, index + 1, size);
    yield header;
    written += header.length;
    if (target !== undefined) yield target;
    if (entry.kind === "file") yield* exactly(entry.data(), size, entry.path);
    const padding = align4(size) - size;
    if (padding > 0) yield new Uint8Array(padding);
    written += size + padding;
  }
  const end = encodeHeader({ kind: "end", path: trailer, mode: 0, mtime: 0 }, 0, 0);
  yield end;
  written += end.length;
  yield new Uint8Array((blockSize - (written % blockSize)) % blockSize);
}

/** The entries of the first archive in the source. Returns the offset behind its trailer. Throws FormatError. */
export function* readCpio(source: ByteSource): Generator<CpioRecord, number, undefined> {
  let position = 0;
  for (;;) {
    const header = Buffer.from(take(source, position, headerSize, "cpio header")).toString("latin1");
    if (!header.startsWith(magic)) throw new FormatError(`no newc header at offset ${position}`);
    if (!/^[0-9a-fA-F]+$/.test(header)) throw new FormatError(`cpio header at offset ${position} is not hexadecimal`);
    const fields = Array.from({ length: 13 }, (_, index) =>
      Number.parseInt(header.slice(6 + index * 8, 14 + index * 8), 16),
    );
    const [inode, mode, uid, gid, links, mtime, size, , , major, minor, nameSize] = fields as FixedFields;

    if (nameSize === 0 || nameSize > longest)
      throw new FormatError(`cpio name of ${nameSize} bytes at offset ${position}`);
    const name = Buffer.from(take(source, position + headerSize, nameSize, "cpio name"));
    if (name.indexOf(0) !== nameSize - 1)
      throw new FormatError(`cpio name at offset ${position} does not end as it must`);
    const path = name.subarray(0, -1).toString("utf8");
    const offset = align4(position + headerSize + nameSize);
    if (path === trailer) return offset;

    if (offset + size > source.size) throw new FormatError(`cpio entry ${path} is cut off: ${size} bytes do not fit`);
    yield { path, inode, mode, uid, gid, links, mtime, rdev: { major, minor }, offset, size };
    position = align4(offset + size);
  }
}

/** The 13 numbers of a header, in order. */
type FixedFields = [
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
];

type EncodedEntry = CpioEntry | (CommonFields & { readonly kind: "end" });

/** Header, name and padding. The order of the fields is that of `struct cpio_header` in the document. */
function encodeHeader(entry: EncodedEntry, inode: number, size: number): Buffer {
  const name = Buffer.from(entry.path);
  const device = "major" in entry ? entry : { major: 0, minor: 0 };
  const fields = {
    inode,
    mode: entry.kind === "end" ? 0 : fileType[entry.kind] | entry.mode,
    uid: entry.uid ?? 0,
    gid: entry.gid ?? 0,
    links: entry.kind === "folder" ? 2 : 1,
    mtime: entry.mtime,
    size,
    "device major": 0,
    "device minor": 0,
    major: device.major,
    minor: device.minor,
    "name size": name.length + 1,
    checksum: 0,
  };
  let header = magic;
  for (const [field, value] of Object.entries(fields)) {
    if (!Number.isInteger(value) || value < 0 || value > largest) {
      throw new FormatError(`${entry.path}: ${field} ${value} does not fit 32 bits`);
    }
    header += value.toString(16).padStart(8, "0").toUpperCase();
  }
  const bytes = Buffer.alloc(align4(headerSize + name.length + 1));
  bytes.write(header, "latin1");
  name.copy(bytes, headerSize);
  return bytes;
}

function checkTree(sorted: readonly CpioEntry[]): void {
  const folders = new Set<string>([""]);
  let before: string | undefined;
  for (const entry of sorted) {
    const { path, mode } = entry;
    if (path === before) throw new FormatError(`${path} stands twice`);
    before = path;
    const segments = path.split("/");
    if (
      path === trailer ||
      path.includes("\0") ||
      segments.some((name) => name === "" || name === "." || name === "..")
    ) {
      throw new FormatError(`${JSON.stringify(path)} is not a path below the root`);
    }
    if (!Number.isInteger(mode) || mode < 0 || mode > 0o7777)
      throw new FormatError(`${path}: mode ${mode} has other bits than permissions`);
    if (!folders.has(segments.slice(0, -1).join("/")))
      throw new FormatError(`${path}: its folder is not in the archive`);
    if (entry.kind === "folder") folders.add(path);
    if (Buffer.byteLength(path) >= longest) throw new FormatError(`${path}: the name is too long`);
    if (entry.kind === "link" && (entry.target === "" || Buffer.byteLength(entry.target) > longest)) {
      throw new FormatError(`${path}: a link target has between 1 and ${longest} bytes`);
    }
    // encoded for its checks: a field that does not fit must be known before the first byte
    encodeHeader(entry, 0, entry.kind === "file" ? entry.size : 0);
  }
}

async function* exactly(
  data: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  size: number,
  path: string,
): AsyncGenerator<Uint8Array> {
  let seen = 0;
  for await (const chunk of data) {
    seen += chunk.length;
    if (seen > size) break;
    yield chunk;
  }
  if (seen !== size)
    throw new FormatError(`${path}: ${seen > size ? "more" : "fewer"} than the ${size} bytes announced`);
}

function align4(offset: number): number {
  return Math.ceil(offset / 4) * 4;
}
