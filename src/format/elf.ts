/**
 * What the headers of an ELF file say about how it was made: linkage, hardening, compiler. Both classes and both byte
 * orders. Follows the System V ABI (gABI), chapters 4 and 5, and the GNU extensions of the Linux Standard Base.
 */
import { take, type ByteSource } from "./byte-source.ts";
import { FormatError } from "./format-error.ts";

export type ElfType = "none" | "relocatable" | "executable" | "shared" | "core" | "other";

export interface Segment {
  /** `p_type`, see `segmentType`. */
  readonly type: number;
  /** `p_flags`: 1 execute, 2 write, 4 read. */
  readonly flags: number;
  readonly offset: number;
  readonly address: bigint;
  /** Bytes in the file. */
  readonly size: number;
}

export interface Section {
  readonly name: string;
  /** `sh_type`, see `sectionType`. */
  readonly type: number;
  readonly flags: number;
  readonly address: bigint;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
  readonly entrySize: number;
}

export interface Elf {
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  /** ET_DYN, "shared", is a library or a position-independent executable. */
  readonly type: ElfType;
  /** `e_machine`: 62 is x86-64, 183 is AArch64. */
  readonly machine: number;
  readonly entry: bigint;
  readonly segments: readonly Segment[];
  readonly sections: readonly Section[];
  /** Text of PT_INTERP, the dynamic loader. */
  readonly interpreter: string | undefined;
  readonly dynamic: Dynamic | undefined;
  /** PT_GNU_RELRO is there. */
  readonly relro: boolean;
  /** PT_GNU_STACK is absent or asks for an executable stack. Means nothing for relocatable files. */
  readonly executableStack: boolean;
  /** Strings of `.comment`, as a rule one for each compiler that made a part. */
  readonly comments: readonly string[];
  /** Has a symbol that names a source file (STT_FILE): compilers write one, assembly by hand has none. */
  readonly namesSourceFile: boolean;
}

/** Contents of PT_DYNAMIC. */
export interface Dynamic {
  /** DT_NEEDED: libraries that the loader must find. */
  readonly needed: readonly string[];
  /** DT_FLAGS and DT_FLAGS_1. */
  readonly flags: number;
  readonly flags1: number;
  /** All symbols are bound at start: DT_BIND_NOW, DF_BIND_NOW or DF_1_NOW. */
  readonly bindNow: boolean;
  /** DF_1_PIE: an executable, not a library. */
  readonly pie: boolean;
}

export const segmentType = { load: 1, dynamic: 2, interp: 3, gnuStack: 0x6474e551, gnuRelro: 0x6474e552 } as const;
export const sectionType = { symtab: 2, strtab: 3, nobits: 8 } as const;

const sectionCompressed = 0x800;
const executeFlag = 1;
const symbolFile = 4;
const dynamicTag = { end: 0, needed: 1, strtab: 5, bindNow: 24, flags: 30, flags1: 0x6ffffffb } as const;

/** Tables beyond this many bytes are not read: no linker makes them, and memory stays bounded for any input. */
const tableLimit = 64 << 20;
const stringLimit = 4096;

/** True when the source starts with the magic of ELF. */
export function isElf(source: ByteSource): boolean {
  if (source.size < 4) return false;
  const magic = source.read(0, 4);
  return magic[0] === 0x7f && magic[1] === 0x45 && magic[2] === 0x4c && magic[3] === 0x46;
}

/** Reads headers, dynamic section, comments and symbol types. Throws FormatError for anything cut off or contradictory. */
export function readElf(source: ByteSource): Elf {
  if (!isElf(source)) throw new FormatError("not an ELF file");
  const header = readHeader(source);
  const segments = readSegments(source, header);
  const sections = readSections(source, header);
  const stack = segments.find((segment) => segment.type === segmentType.gnuStack);
  const interp = segments.find((segment) => segment.type === segmentType.interp);
  return {
    bits: header.bits,
    littleEndian: header.littleEndian,
    type: header.type,
    machine: header.machine,
    entry: header.entry,
    segments,
    sections,
    interpreter: interp && cString(source, interp.offset, interp.size, "PT_INTERP"),
    dynamic: readDynamic(source, header, segments),
    relro: segments.some((segment) => segment.type === segmentType.gnuRelro),
    executableStack: stack === undefined || (stack.flags & executeFlag) !== 0,
    comments: readComments(source, sections),
    namesSourceFile: hasFileSymbol(source, header, sections),
  };
}

interface Header {
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly type: ElfType;
  readonly machine: number;
  readonly entry: bigint;
  readonly programTable: Table;
  readonly sectionTable: Table;
  readonly nameSection: number;
}

interface Table {
  readonly offset: number;
  readonly entrySize: number;
  readonly count: number;
}

/** Fields of one record in the file's byte order; `word` is 4 or 8 bytes by class. */
class Fields {
  private readonly view: DataView;

  constructor(
    bytes: Uint8Array,
    private readonly bits: 32 | 64,
    private readonly littleEndian: boolean,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(at: number): number {
    return this.view.getUint8(at);
  }

  u16(at: number): number {
    return this.view.getUint16(at, this.littleEndian);
  }

  u32(at: number): number {
    return this.view.getUint32(at, this.littleEndian);
  }

  address(at: number): bigint {
    return this.bits === 64 ? this.view.getBigUint64(at, this.littleEndian) : BigInt(this.u32(at));
  }

  /** An offset or size in the file. */
  extent(at: number): number {
    const value = this.address(at);
    if (value > BigInt(Number.MAX_SAFE_INTEGER))
      throw new FormatError(`ELF offset or size ${value} is beyond any file`);
    return Number(value);
  }
}

function readHeader(source: ByteSource): Header {
  const ident = take(source, 0, 16, "ELF identification");
  const bits = ident[4] === 1 ? 32 : ident[4] === 2 ? 64 : undefined;
  if (bits === undefined) throw new FormatError(`ELF class ${ident[4]} is neither 32 nor 64 bit`);
  if (ident[5] !== 1 && ident[5] !== 2) throw new FormatError(`ELF byte order ${ident[5]} is neither little nor big`);
  const littleEndian = ident[5] === 1;
  const wide = bits === 64;
  const record = new Fields(take(source, 0, wide ? 64 : 52, "ELF header"), bits, littleEndian);

  // after e_entry, e_phoff and e_shoff (a word each) and e_flags the fields are alike in both classes
  const tail = wide ? 52 : 40;
  const programTable = {
    offset: record.extent(wide ? 32 : 28),
    entrySize: record.u16(tail + 2),
    count: record.u16(tail + 4),
  };
  const sectionTable = {
    offset: record.extent(wide ? 40 : 32),
    entrySize: record.u16(tail + 6),
    count: record.u16(tail + 8),
  };
  const header = {
    bits,
    littleEndian,
    type: elfType(record.u16(16)),
    machine: record.u16(18),
    entry: record.address(24),
    programTable,
    sectionTable,
    nameSection: record.u16(tail + 10),
  } as const;
  return sectionTable.offset === 0 ? header : extended(source, header);
}

/** Counts that do not fit 16 bits stand in section 0 (gABI, "ELF Header": e_phnum, e_shnum, e_shstrndx). */
function extended(source: ByteSource, header: Header): Header {
  const wide = header.bits === 64;
  const { programTable, sectionTable, nameSection } = header;
  if (programTable.count !== 0xffff && sectionTable.count !== 0 && nameSection !== 0xffff) return header;
  const bytes = take(source, sectionTable.offset, wide ? 64 : 40, "ELF section 0");
  const first = new Fields(bytes, header.bits, header.littleEndian);
  return {
    ...header,
    programTable: programTable.count === 0xffff ? { ...programTable, count: first.u32(wide ? 44 : 28) } : programTable,
    sectionTable: sectionTable.count === 0 ? { ...sectionTable, count: first.extent(wide ? 32 : 20) } : sectionTable,
    nameSection: nameSection === 0xffff ? first.u32(wide ? 40 : 24) : nameSection,
  };
}

function elfType(value: number): ElfType {
  const types: readonly ElfType[] = ["none", "relocatable", "executable", "shared", "core"];
  return types[value] ?? "other";
}

function readTable(source: ByteSource, header: Header, table: Table, size: number, what: string): Fields[] {
  if (table.count === 0 || table.offset === 0) return [];
  if (table.entrySize < size) throw new FormatError(`${what}: entries of ${table.entrySize} bytes instead of ${size}`);
  const length = table.entrySize * table.count;
  if (length > tableLimit) throw new FormatError(`${what}: ${table.count} entries`);
  const bytes = take(source, table.offset, length, what);
  return Array.from({ length: table.count }, (_, index) => {
    const at = index * table.entrySize;
    return new Fields(bytes.subarray(at, at + table.entrySize), header.bits, header.littleEndian);
  });
}

function readSegments(source: ByteSource, header: Header): Segment[] {
  const wide = header.bits === 64;
  return readTable(source, header, header.programTable, wide ? 56 : 32, "ELF program headers").map((record) => ({
    type: record.u32(0),
    flags: record.u32(wide ? 4 : 24),
    offset: record.extent(wide ? 8 : 4),
    address: record.address(wide ? 16 : 8),
    size: record.extent(wide ? 32 : 16),
  }));
}

function readSections(source: ByteSource, header: Header): Section[] {
  const wide = header.bits === 64;
  const records = readTable(source, header, header.sectionTable, wide ? 64 : 40, "ELF section headers");
  const unnamed = records.map((record) => ({
    nameAt: record.u32(0),
    type: record.u32(4),
    flags: Number(record.address(8) & 0xffffffffn),
    address: record.address(wide ? 16 : 12),
    offset: record.extent(wide ? 24 : 16),
    size: record.extent(wide ? 32 : 20),
    link: record.u32(wide ? 40 : 24),
    entrySize: record.extent(wide ? 56 : 36),
  }));
  // index 0 says that the file has no section names
  if (records.length === 0 || header.nameSection === 0)
    return unnamed.map(({ nameAt: _, ...rest }) => ({ name: "", ...rest }));
  const table = unnamed[header.nameSection];
  if (table === undefined) throw new FormatError(`ELF section names: there is no section ${header.nameSection}`);
  const names = sectionBytes(source, table, "ELF section names");
  return unnamed.map(({ nameAt, ...rest }) => ({ name: stringAt(names, nameAt, "ELF section name"), ...rest }));
}

function sectionBytes(
  source: ByteSource,
  section: Pick<Section, "type" | "offset" | "size">,
  what: string,
): Uint8Array {
  if (section.type === sectionType.nobits) return new Uint8Array(0);
  if (section.size > tableLimit) throw new FormatError(`${what}: ${section.size} bytes`);
  return take(source, section.offset, section.size, what);
}

function readDynamic(source: ByteSource, header: Header, segments: readonly Segment[]): Dynamic | undefined {
  const segment = segments.find((candidate) => candidate.type === segmentType.dynamic);
  if (segment === undefined) return undefined;
  const word = header.bits / 8;
  const table = { offset: segment.offset, entrySize: 2 * word, count: Math.floor(segment.size / (2 * word)) };

  const neededAt: bigint[] = [];
  let strings: bigint | undefined;
  let flags = 0;
  let flags1 = 0;
  let bindNow = false;
  for (const record of readTable(source, header, table, 2 * word, "PT_DYNAMIC")) {
    const tag = record.address(0);
    const value = record.address(word);
    if (tag === BigInt(dynamicTag.end)) break;
    else if (tag === BigInt(dynamicTag.needed)) neededAt.push(value);
    else if (tag === BigInt(dynamicTag.strtab)) strings = value;
    else if (tag === BigInt(dynamicTag.bindNow)) bindNow = true;
    else if (tag === BigInt(dynamicTag.flags)) flags = Number(value & 0xffffffffn);
    else if (tag === BigInt(dynamicTag.flags1)) flags1 = Number(value & 0xffffffffn);
  }
  const needed = neededAt.map((at) => {
    if (strings === undefined) throw new FormatError("PT_DYNAMIC: DT_NEEDED without DT_STRTAB");
    const offset = fileOffset(segments, strings + at);
    return cString(source, offset, Math.min(stringLimit, source.size - offset), "DT_NEEDED");
  });
  bindNow ||= (flags & 8) !== 0 || (flags1 & 1) !== 0;
  return { needed, flags, flags1, bindNow, pie: (flags1 & 0x08000000) !== 0 };
}

/** Where the byte that is loaded at an address stands in the file. */
function fileOffset(segments: readonly Segment[], address: bigint): number {
  for (const { type, address: start, offset, size } of segments) {
    if (type === segmentType.load && address >= start && address < start + BigInt(size)) {
      return offset + Number(address - start);
    }
  }
  throw new FormatError(`address 0x${address.toString(16)} is not loaded from the file`);
}

function readComments(source: ByteSource, sections: readonly Section[]): string[] {
  const strings = new Set<string>();
  for (const section of sections) {
    if (section.name !== ".comment") continue;
    if ((section.flags & sectionCompressed) !== 0) throw new FormatError("a compressed .comment is not read");
    const text = Buffer.from(sectionBytes(source, section, ".comment")).toString("latin1");
    for (const string of text.split("\0")) if (string !== "") strings.add(string);
  }
  return [...strings];
}

function hasFileSymbol(source: ByteSource, header: Header, sections: readonly Section[]): boolean {
  const wide = header.bits === 64;
  const size = wide ? 24 : 16;
  return sections.some((section) => {
    if (section.type !== sectionType.symtab) return false;
    const bytes = sectionBytes(source, section, "ELF symbols");
    for (let at = 0; at + size <= bytes.length; at += size) {
      if (((bytes[at + (wide ? 4 : 12)] ?? 0) & 0xf) === symbolFile) return true;
    }
    return false;
  });
}

function cString(source: ByteSource, offset: number, limit: number, what: string): string {
  return stringAt(take(source, offset, Math.min(limit, stringLimit), what), 0, what);
}

function stringAt(bytes: Uint8Array, at: number, what: string): string {
  const end = bytes.indexOf(0, at);
  if (at >= bytes.length || end < 0) throw new FormatError(`${what}: a string does not end`);
  return Buffer.from(bytes.subarray(at, end)).toString("utf8");
}
