/** Makes small ELF files by bytes, for machines without a compiler. */

export interface ElfPlan {
  bits?: 32 | 64;
  littleEndian?: boolean;
  /** `e_type`: 1 relocatable, 2 executable, 3 shared. */
  type?: number;
  interpreter?: string;
  /** DT_NEEDED; a list, also an empty one, makes a PT_DYNAMIC. */
  needed?: string[];
  /** Further pairs of tag and value for PT_DYNAMIC. */
  dynamic?: [tag: number, value: number][];
  relro?: boolean;
  /** `p_flags` of PT_GNU_STACK. */
  stack?: number;
  comments?: string[];
  /** Name of a source file for an STT_FILE symbol. */
  sourceFile?: string;
}

/** Everything is loaded at this address, higher than a double holds exactly in 64 bit, as in a kernel. */
const base = { 32: 0x10000n, 64: 0xffffffff81000000n };

export function buildElf(plan: ElfPlan): Uint8Array {
  const { bits = 64, littleEndian = true, type = 3 } = plan;
  const wide = bits === 64;
  const headerSize = wide ? 64 : 52;
  const segmentSize = wide ? 56 : 32;
  const blobs: Uint8Array[] = [];

  const number = (size: number, value: number | bigint): Uint8Array => {
    const bytes = new Uint8Array(size);
    for (let index = 0; index < size; index++) {
      bytes[littleEndian ? index : size - 1 - index] = Number((BigInt(value) >> BigInt(8 * index)) & 0xffn);
    }
    return bytes;
  };
  const half = (value: number): Uint8Array => number(2, value);
  const long = (value: number): Uint8Array => number(4, value);
  const word = (value: number | bigint): Uint8Array => number(wide ? 8 : 4, value);
  const join = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

  const segmentTypes: number[] = [];
  if (type !== 1) segmentTypes.push(1);
  if (plan.interpreter !== undefined) segmentTypes.push(3);
  if (plan.needed !== undefined) segmentTypes.push(2);
  if (plan.relro === true) segmentTypes.push(0x6474e552);
  if (plan.stack !== undefined) segmentTypes.push(0x6474e551);

  let end = headerSize + segmentTypes.length * segmentSize;
  const place = (bytes: Uint8Array): { offset: number; size: number } => {
    blobs.push(bytes);
    end += bytes.length;
    return { offset: end - bytes.length, size: bytes.length };
  };
  const text = (string: string): Uint8Array => Buffer.from(`${string}\0`);

  const interpreter = place(plan.interpreter === undefined ? new Uint8Array(0) : text(plan.interpreter));
  const needed = plan.needed ?? [];
  const libraries = place(join(text(""), ...needed.map(text)));
  let at = 1;
  const tags: [number, number | bigint][] = needed.map((name) => {
    at += name.length + 1;
    return [1, at - name.length - 1];
  });
  tags.push([5, base[bits] + BigInt(libraries.offset)], ...(plan.dynamic ?? []), [0, 0]);
  const dynamic = place(join(...tags.flatMap(([tag, value]) => [word(tag), word(value)])));

  const sections: { name: string; type: number; offset: number; size: number; entry: number }[] = [];
  if (plan.comments !== undefined) {
    sections.push({ name: ".comment", type: 1, ...place(join(...plan.comments.map(text))), entry: 1 });
  }
  if (plan.sourceFile !== undefined) {
    const symbolSize = wide ? 24 : 16;
    const file = new Uint8Array(symbolSize);
    file[wide ? 4 : 12] = 4;
    sections.push({ name: ".symtab", type: 2, ...place(join(new Uint8Array(symbolSize), file)), entry: symbolSize });
  }
  const names = [...sections.map((section) => section.name), ".shstrtab"];
  sections.push({ name: ".shstrtab", type: 3, ...place(join(text(""), ...names.map(text))), entry: 0 });
  let nameAt = 1;
  const sectionHeaders = sections.map((section) => {
    const record = join(
      long(nameAt),
      long(section.type),
      word(0),
      word(0),
      word(section.offset),
      word(section.size),
      long(0),
      long(0),
      word(1),
      word(section.entry),
    );
    nameAt += section.name.length + 1;
    return record;
  });
  const sectionTable = end;

  const segment = (kind: number): Uint8Array => {
    const range =
      kind === 1 ? { offset: 0, size: end } : kind === 2 ? dynamic : kind === 3 ? interpreter : { offset: 0, size: 0 };
    const flags = long(kind === 0x6474e551 ? (plan.stack ?? 0) : 4);
    const address = word(base[bits] + BigInt(range.offset));
    const extents = [word(range.offset), address, address, word(range.size), word(range.size)];
    return wide ? join(long(kind), flags, ...extents, word(1)) : join(long(kind), ...extents, flags, word(1));
  };
  const header = join(
    new Uint8Array([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, littleEndian ? 1 : 2, 1]),
    new Uint8Array(9),
    half(type),
    half(wide ? 62 : 3),
    long(1),
    word(base[bits]),
    word(segmentTypes.length > 0 ? headerSize : 0),
    word(sectionTable),
    long(0),
    half(headerSize),
    half(segmentSize),
    half(segmentTypes.length),
    half(wide ? 64 : 40),
    half(sections.length + 1),
    half(sections.length),
  );
  const empty = new Uint8Array(wide ? 64 : 40);
  return join(header, ...segmentTypes.map(segment), ...blobs, empty, ...sectionHeaders);
}

/** An ar archive as GNU ar writes it, with short names only. */
export function buildAr(members: Record<string, Uint8Array>): Uint8Array {
  const parts: Uint8Array[] = [Buffer.from("!<arch>\n")];
  for (const [name, data] of Object.entries(members)) {
    parts.push(arHeader(`${name}/`, data.length), data);
    if (data.length % 2 === 1) parts.push(Buffer.from("\n"));
  }
  return new Uint8Array(Buffer.concat(parts));
}

export function arHeader(name: string, size: number): Uint8Array {
  const fields = [
    name.padEnd(16),
    "0".padEnd(12),
    "0".padEnd(6),
    "0".padEnd(6),
    "644".padEnd(8),
    String(size).padEnd(10),
  ];
  return Buffer.from(`${fields.join("")}\`\n`);
}
