/** The manifest of an ingot: what it holds, file by file, and how it is stored. docs/ingots.md, "The manifest". */
import { createHash } from "node:crypto";
import { Fault } from "../fault/fault.ts";

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly arch: string;
  /** Seconds since 1970. */
  readonly date: number;
  readonly needs: readonly Need[];
  readonly services: readonly string[];
  readonly health: { readonly seconds: number; readonly program: string } | undefined;
  /** It keeps data of its own, whichever version is active. */
  readonly data: boolean;
  readonly proofs: readonly string[];
  /** In the order of their paths, bytewise. */
  readonly entries: readonly Entry[];
  readonly chunks: readonly Chunk[];
}

/** Another ingot that must be active. */
export interface Need {
  readonly ingot: string;
  readonly atLeast: string | undefined;
}

export type Entry =
  | { readonly kind: "dir"; readonly path: string }
  | {
      readonly kind: "file";
      readonly path: string;
      readonly executable: boolean;
      readonly size: number;
      readonly hash: string;
    }
  | { readonly kind: "link"; readonly path: string; readonly target: string };

export interface Chunk {
  /** Bytes unpacked. */
  readonly size: number;
  /** Bytes as stored. */
  readonly stored: number;
  /** BLAKE2b-512 of the stored bytes, hex. */
  readonly hash: string;
}

/** Bytes. */
export const MANIFEST_LIMIT = 16 << 20;
export const CHUNK_SIZE = 4 << 20;
/** zstd adds at most 16 KiB to what it cannot compress. */
const STORED_LIMIT = CHUNK_SIZE + (64 << 10);
const PATH_LIMIT = 1023;
const SEGMENT_LIMIT = 255;
/** The most lines of needs, and of services. */
const FACTS_LIMIT = 64;
const ENTRIES_LIMIT = 262_144;
const CHUNKS_LIMIT = 262_144;
/** Bytes of all files. */
const SIZE_LIMIT = 2 ** 42;
/** Seconds since 1970. */
const DATE_LIMIT = 2 ** 40;
const LONGEST_HEALTH_CHECK = 3600;
/** What the Monolith keeps in the tree of an ingot; no ingot may bring it. */
const OWN_FOLDER = ".anvil";

/** For the test that compares them with those of the agent (native/ingot/manifest.h). */
export const LIMITS = {
  MANIFEST_LIMIT,
  CHUNK_SIZE,
  STORED_LIMIT,
  PATH_LIMIT,
  FACTS_LIMIT,
  ENTRIES_LIMIT,
  CHUNKS_LIMIT,
  SIZE_LIMIT,
  OWN_FOLDER,
} as const;

// /ingots/bin is the folder of programs
const NAME = "(?!bin(?: |$))[a-z0-9][a-z0-9-]{0,31}";
const VERSION = "[A-Za-z0-9][A-Za-z0-9.+~_-]{0,63}";
const NUMBER = "0|[1-9][0-9]{0,12}";
const HASH = "[0-9a-f]{128}";
const PATH = "[^ ]+";

const line = (source: string): RegExp => new RegExp(`^${source}$`);

const LINE = {
  name: line(`name (${NAME})`),
  version: line(`version (${VERSION})`),
  arch: line("arch ([a-z0-9_]{1,16})"),
  date: line(`date (${NUMBER})`),
  needs: line(`needs (${NAME})(?: (${VERSION}))?`),
  service: line("service ([a-z0-9_][a-z0-9_-]{0,31})"),
  health: line(`health (${NUMBER}) (${PATH})`),
  data: line("(data)"),
  // a dot is not what ends a line for others than POSIX: U+2028 may stand in a line
  proof: line("proof ([^]+)"),
  entry: line(`(?:dir 755 (${PATH})|file (755|644) (${NUMBER}) (${HASH}) (${PATH})|link (${PATH}) (${PATH}))`),
  chunk: line(`chunk (${NUMBER}) (${NUMBER}) (${HASH})`),
};

/** BLAKE2b-512, hex. */
export function blake2b(bytes: Uint8Array): string {
  return createHash("blake2b512").update(bytes).digest("hex");
}

/** What the very manifest is called: the first 64 digits of its hash. */
export function ingotKey(manifest: Uint8Array): string {
  return blake2b(manifest).slice(0, 64);
}

export function writeManifest(manifest: Manifest): string {
  const { needs, services, health, data, proofs, entries, chunks } = manifest;
  return [
    "anvil-ingot 1",
    `name ${manifest.name}`,
    `version ${manifest.version}`,
    `arch ${manifest.arch}`,
    `date ${manifest.date}`,
    ...needs.map(({ ingot, atLeast }) => `needs ${ingot}${atLeast === undefined ? "" : ` ${atLeast}`}`),
    ...services.map((service) => `service ${service}`),
    ...(health === undefined ? [] : [`health ${health.seconds} ${encodePath(health.program)}`]),
    ...(data ? ["data"] : []),
    ...proofs.map((proof) => `proof ${proof}`),
    ...entries.map(entryLine),
    ...chunks.map(({ size, stored, hash }) => `chunk ${size} ${stored} ${hash}`),
    "end",
    "",
  ].join("\n");
}

function entryLine(entry: Entry): string {
  const path = encodePath(entry.path);
  switch (entry.kind) {
    case "dir":
      return `dir 755 ${path}`;
    case "file":
      return `file ${entry.executable ? 755 : 644} ${entry.size} ${entry.hash} ${path}`;
    case "link":
      return `link ${encodePath(entry.target)} ${path}`;
  }
}

/** Space, % and control characters as % and two hexadecimal digits in capitals. */
export function encodePath(path: string): string {
  return path.replace(
    /[%\x00-\x20\x7f]/g,
    (each) => `%${each.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
}

function decodePath(text: string): string {
  return text.replace(/%([0-9A-F]{2})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 16)));
}

/** Reads a manifest and refuses what the Monolith would refuse. Throws E_INGOT_MANIFEST with the line. */
export function parseManifest(bytes: Uint8Array): Manifest {
  return new Parser(bytes).parse();
}

class Parser {
  readonly #lines: readonly string[];
  #at = 0;

  constructor(bytes: Uint8Array) {
    if (bytes.length > MANIFEST_LIMIT) throw fault(`it has ${bytes.length} bytes`);
    this.#lines = decodeUtf8(bytes).split("\n");
  }

  parse(): Manifest {
    this.#one(/^anvil-ingot (1)$/);
    const manifest: Manifest = {
      name: this.#one(LINE.name),
      version: this.#one(LINE.version),
      arch: this.#one(LINE.arch),
      date: this.#date(),
      needs: this.#all(LINE.needs, ([ingot = "", atLeast]) => ({ ingot, atLeast })),
      services: this.#all(LINE.service, ([service = ""]) => service),
      health: this.#all(LINE.health, ([seconds, program]) => this.#healthCheck(Number(seconds), program))[0],
      data: this.#data(),
      proofs: this.#all(LINE.proof, ([proof = ""]) => proof),
      entries: this.#entries(),
      chunks: this.#all(LINE.chunk, ([size, stored, hash = ""]) => this.#chunk(Number(size), Number(stored), hash)),
    };
    this.#one(/^(end)$/);
    if (this.#at !== this.#lines.length - 1 || this.#lines[this.#at] !== "")
      throw this.#fault("it comes after the end");
    checkWhole(manifest);
    return manifest;
  }

  #fault(why: string): Fault {
    return fault(`line ${this.#at + 1}: ${why}`, [JSON.stringify((this.#lines[this.#at] ?? "").slice(0, 200))]);
  }

  #one(shape: RegExp): string {
    const [, value] = shape.exec(this.#lines[this.#at] ?? "") ?? [];
    if (value === undefined) throw this.#fault("it is malformed, or not where it belongs");
    this.#at++;
    return value;
  }

  /** Lines of this shape, as many as there are. */
  #all<T>(shape: RegExp, read: (fields: readonly (string | undefined)[]) => T): T[] {
    const values: T[] = [];
    for (;;) {
      const match = shape.exec(this.#lines[this.#at] ?? "");
      if (match === null) return values;
      values.push(read(match.slice(1)));
      this.#at++;
    }
  }

  #date(): number {
    const [, text] = LINE.date.exec(this.#lines[this.#at] ?? "") ?? [];
    if (Number(text) > DATE_LIMIT) throw this.#fault("no date is so late");
    return Number(this.#one(LINE.date));
  }

  #data(): boolean {
    const isThere = LINE.data.test(this.#lines[this.#at] ?? "");
    if (isThere) this.#at++;
    return isThere;
  }

  #healthCheck(seconds: number, program: string | undefined): Manifest["health"] {
    if (LINE.health.test(this.#lines[this.#at + 1] ?? "")) throw this.#fault("there is a second one");
    if (seconds < 1 || seconds > LONGEST_HEALTH_CHECK) throw this.#fault("it allows no time, or too much");
    return { seconds, program: this.#path(program) };
  }

  #chunk(size: number, stored: number, hash: string): Chunk {
    if (size === 0 || size > CHUNK_SIZE || stored === 0 || stored > STORED_LIMIT)
      throw this.#fault("no chunk is so large");
    const isLast = !LINE.chunk.test(this.#lines[this.#at + 1] ?? "");
    if (!isLast && size !== CHUNK_SIZE) throw this.#fault(`a chunk that is not the last has ${CHUNK_SIZE} bytes`);
    return { size, stored, hash };
  }

  #entries(): Entry[] {
    const folders = new Set<string>();
    let before = Buffer.alloc(0);
    let count = 0;
    return this.#all(LINE.entry, (fields) => {
      if (++count > ENTRIES_LIMIT) throw this.#fault("it is one file too many");
      const entry = this.#entry(fields);
      const path = Buffer.from(entry.path);
      if (Buffer.compare(before, path) >= 0) throw this.#fault("it is out of order");
      before = path;
      const cut = entry.path.lastIndexOf("/");
      if (cut !== -1 && !folders.has(entry.path.slice(0, cut))) throw this.#fault("its folder is not in the list");
      if (entry.kind === "dir") folders.add(entry.path);
      return entry;
    });
  }

  /** Groups as in `LINE.entry`. */
  #entry([dir, mode, size, hash, file, target, link]: readonly (string | undefined)[]): Entry {
    if (dir !== undefined) return { kind: "dir", path: this.#path(dir) };
    if (link !== undefined) return { kind: "link", path: this.#path(link), target: this.#decoded(target) };
    if (Number(size) > SIZE_LIMIT) throw this.#fault("no file is so large");
    return {
      kind: "file",
      path: this.#path(file),
      executable: mode === "755",
      size: Number(size),
      hash: hash ?? "",
    };
  }

  #decoded(text = ""): string {
    const decoded = decodePath(text);
    if (encodePath(decoded) !== text || decoded.includes("\0"))
      throw this.#fault("a name is not written as it has to be");
    if (Buffer.byteLength(decoded) > PATH_LIMIT) throw this.#fault("a name is too long");
    return decoded;
  }

  #path(text: string | undefined): string {
    const path = this.#decoded(text);
    const parts = path.split("/");
    if (parts.some((part) => ["", ".", ".."].includes(part) || Buffer.byteLength(part) > SEGMENT_LIMIT))
      throw this.#fault("it is no path below the tree");
    if (parts[0] === OWN_FOLDER) throw this.#fault(`${OWN_FOLDER} belongs to the Monolith`);
    return path;
  }
}

/** What only the whole can tell. */
function checkWhole({ needs, services, health, entries, chunks }: Manifest): void {
  const files = entries.filter((entry) => entry.kind === "file");
  const programs = new Set(files.filter(({ executable }) => executable).map(({ path }) => path));
  const promised = [...services.map((service) => `service/${service}/run`), ...(health ? [health.program] : [])];
  const absent = promised.find((path) => !programs.has(path));
  if (absent !== undefined) throw fault(`there is no program ${absent}`);
  if (needs.length > FACTS_LIMIT || services.length > FACTS_LIMIT) throw fault("it has too many needs or services");
  if (chunks.length > CHUNKS_LIMIT) throw fault("it has too many chunks");
  if (new Set(services).size < services.length) throw fault("a service stands there twice");
  const [size, unpacked] = [files, chunks].map((all) => all.reduce((sum, each) => sum + each.size, 0));
  if (size !== undefined && size > SIZE_LIMIT) throw fault("the files are too large");
  if (size !== unpacked) throw fault(`the files have ${size} bytes, the chunks unpack to ${unpacked}`);
}

function fault(why: string, details: readonly string[] = []): Fault {
  return new Fault("E_INGOT_MANIFEST", `the manifest cannot be used: ${why}`, { details });
}

function decodeUtf8(bytes: Uint8Array): string {
  if (bytes.includes(0)) throw fault("it holds a zero byte");
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new Fault("E_INGOT_MANIFEST", "the manifest cannot be used: it is not UTF-8", { cause });
  }
}
