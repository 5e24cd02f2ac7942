/**
 * Archives of ar(5): static libraries and the outer layer of Debian packages (deb(5)). Long names of the System V/GNU
 * kind (`//` table) and of the BSD kind (`#1/<length>`) are understood, thin archives are refused.
 */
import { take, type ByteSource } from "./byte-source.ts";
import { FormatError } from "./format-error.ts";

const magic = "!<arch>\n";
const thinMagic = "!<thin>\n";
const headerSize = 60;
/** Room for the names of some hundred thousand members; a larger table is not worth believing. */
const longNamesLimit = 16 << 20;

export interface ArMember {
  readonly name: string;
  /** Position of the member's data in the archive, in bytes. */
  readonly offset: number;
  /** Bytes of data. */
  readonly size: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  readonly uid: number;
  readonly gid: number;
  /** File type and permission bits, as in `st_mode`. */
  readonly mode: number;
}

/** True when the source starts with the magic of an archive, thin or not. */
export function isAr(source: ByteSource): boolean {
  if (source.size < magic.length) return false;
  const start = latin1(source.read(0, magic.length));
  return start === magic || start === thinMagic;
}

/**
 * The members in the order of the archive, without symbol and name tables. Headers only: a member's data is
 * `source.read(member.offset, member.size)`, and is known to lie within the source.
 * Throws FormatError at the first byte that does not fit.
 */
export function* arMembers(source: ByteSource): Generator<ArMember, void, undefined> {
  const start = latin1(take(source, 0, magic.length, "ar magic"));
  if (start === thinMagic) throw new FormatError("a thin archive holds only the names of its members");
  if (start !== magic) throw new FormatError("not an ar archive");

  let longNames: string | undefined;
  let position = magic.length;
  while (position < source.size) {
    const header = latin1(take(source, position, headerSize, "ar header"));
    if (header.slice(58) !== "`\n") throw new FormatError(`ar header at offset ${position} does not end as it must`);
    const size = field(header, 48, 58, 10, "size");
    const offset = position + headerSize;
    if (offset + size > source.size) {
      throw new FormatError(`ar member at offset ${position} is cut off: ${size} bytes do not fit`);
    }
    // data is padded to an even offset; the last member of some archives lacks the padding
    position = offset + size + (size % 2);

    const raw = header.slice(0, 16).trimEnd();
    if (raw === "//") {
      if (size > longNamesLimit) throw new FormatError(`ar name table of ${size} bytes`);
      longNames = latin1(source.read(offset, size));
      continue;
    }
    if (raw === "/" || raw === "/SYM64/") continue;

    const member = {
      mtime: field(header, 16, 28, 10, "time"),
      uid: field(header, 28, 34, 10, "owner"),
      gid: field(header, 34, 40, 10, "group"),
      mode: field(header, 40, 48, 8, "mode"),
    };
    const bsd = /^#1\/(\d+)$/.exec(raw);
    if (bsd !== null) {
      const length = Number(bsd[1]);
      if (length > size || length > 4096)
        throw new FormatError(`ar member at offset ${offset} has no room for its name`);
      const name = latin1(source.read(offset, length)).replace(/\0+$/, "");
      if (!name.startsWith("__.SYMDEF")) yield { name, offset: offset + length, size: size - length, ...member };
      continue;
    }
    if (raw.startsWith("__.SYMDEF")) continue;
    yield { name: memberName(raw, longNames), offset, size, ...member };
  }
}

/** GNU ends a short name with "/", deb(5) and BSD do not; "/123" points into the table of long names. */
function memberName(raw: string, longNames: string | undefined): string {
  const reference = /^\/(\d+)$/.exec(raw);
  if (reference === null) {
    const name = raw.endsWith("/") ? raw.slice(0, -1) : raw;
    if (name === "") throw new FormatError("ar member without a name");
    return utf8(name);
  }
  const start = Number(reference[1]);
  const end = longNames?.indexOf("\n", start) ?? -1;
  if (longNames === undefined || end < 0) throw new FormatError(`ar name ${raw} is not in the table of long names`);
  return utf8(longNames.slice(start, end).replace(/\/$/, ""));
}

function field(header: string, from: number, to: number, radix: 8 | 10, what: string): number {
  const text = header.slice(from, to).trim();
  // symbol tables of some writers leave owner and mode blank
  if (text === "" && what !== "size") return 0;
  if (!(radix === 8 ? /^[0-7]+$/ : /^[0-9]+$/).test(text)) {
    throw new FormatError(`ar ${what} ${JSON.stringify(text)} is not a number`);
  }
  return Number.parseInt(text, radix);
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

function utf8(text: string): string {
  return Buffer.from(text, "latin1").toString("utf8");
}
