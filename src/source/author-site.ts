/** Authors' release sites: lists, signatures and archives, as far as they can be had. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readFile, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { pipeline, Readable } from "node:stream";
import { pipeline as piped } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { Fault } from "../fault/fault.ts";
import { unxz } from "../format/xz.ts";
import { download, type Download } from "./fetch.ts";
import type { Downloaded } from "./partial-file.ts";
import type { HttpClient } from "./http.ts";

export interface AuthorSitesOptions {
  /** Verified downloads, named by their SHA-256: read from, and added to. */
  readonly sources: string;
  /** An empty folder of this run, which `close` removes. */
  readonly folder: string;
  readonly signal?: AbortSignal;
  /** The process's own when absent. */
  readonly client?: HttpClient;
  readonly timeouts?: Download["timeouts"];
}

/** A file on this machine. */
export interface Archive extends Downloaded {
  readonly path: string;
  /** Where it was downloaded from just now; undefined for what was here. */
  readonly from: string | undefined;
}

/** Bytes of a list: that of all refs of a large repository has some three million. */
export const MOST_LIST = 1 << 25;
/** Bytes that an archive may unpack to: a kernel has one and a half thousand million. */
const MOST_UNPACKED = 2 ** 33;

/** A site that did not answer is not asked again. */
export class AuthorSites {
  private readonly silent = new Map<string, Fault>();
  private readonly texts = new Map<string, Promise<Buffer | undefined>>();
  private count = 0;

  constructor(private readonly options: AuthorSitesOptions) {}

  /** A text, read once; undefined when it is not there. Throws as `archive` does. */
  async text(url: string): Promise<string | undefined> {
    const reading = this.texts.get(url) ?? this.bytes(url, MOST_LIST);
    this.texts.set(url, reading);
    return (await reading)?.toString("utf8");
  }

  /** A small file; undefined when it is not there. Throws as `archive` does. */
  async bytes(url: string, limit: number): Promise<Buffer | undefined> {
    const found = await this.fetch(url, { limit });
    if (found === undefined) return undefined;
    try {
      return await readFile(found.path);
    } finally {
      await rm(found.path, { force: true });
    }
  }

  /**
   * An archive from the first place that has it; undefined when it is at none. Throws E_SOURCE_HASH for another file than the
   * pinned one, E_UNAVAILABLE when sites cannot be asked or refuse and the others do not have it, and what the disk refuses.
   * `release` it, or `keep` it.
   */
  async archive(
    urls: readonly string[],
    pin: { readonly sha256?: string | undefined; readonly size?: number | undefined } = {},
  ): Promise<Archive | undefined> {
    const faults: Fault[] = [];
    for (const url of urls) {
      try {
        const found = await this.fetch(url, pin);
        if (found !== undefined) return found;
      } catch (error) {
        if (!(error instanceof Fault) || error.code !== "E_UNAVAILABLE") throw error;
        faults.push(error);
      }
    }
    const [first] = faults;
    if (first === undefined) return undefined;
    throw new Fault(first.code, first.message, {
      details: faults.flatMap(({ details }) => details),
      ...(first.hint !== undefined && { hint: first.hint }),
    });
  }

  /** A download that is here already, and whole. */
  async known(sha256: string): Promise<Archive | undefined> {
    const file = path.join(this.options.sources, sha256);
    const size = await stat(file).then(
      (found) => found.size,
      () => undefined,
    );
    if (size === undefined) return undefined;
    return (await hashOf(file, "sha256")) === sha256 ? { path: file, sha256, size, from: undefined } : undefined;
  }

  /** Takes a download over for the forges to come. */
  async keep(archive: Archive): Promise<void> {
    const to = path.join(this.options.sources, archive.sha256);
    if (archive.path !== to) await rename(archive.path, to);
  }

  async release(archive: Archive): Promise<void> {
    if (path.dirname(archive.path) !== this.options.sources) await rm(archive.path, { force: true });
  }

  async close(): Promise<void> {
    await rm(this.options.folder, { recursive: true, force: true });
  }

  private async fetch(url: string, pin: Pick<Download, "sha256" | "size" | "limit">): Promise<Archive | undefined> {
    const { folder, signal, client, timeouts } = this.options;
    const { origin, pathname } = new URL(url);
    const silent = this.silent.get(origin);
    if (silent !== undefined) throw silent;
    await mkdir(folder, { recursive: true });
    const to = path.join(folder, String(this.count++));
    try {
      const got = await download({
        urls: [url],
        to,
        ...pin,
        name: path.posix.basename(pathname),
        supersededHint: "",
        ...(signal !== undefined && { signal }),
        ...(client !== undefined && { client }),
        ...(timeouts !== undefined && { timeouts }),
      });
      return { path: to, from: url, ...got };
    } catch (error) {
      await rm(`${to}.part`, { force: true });
      if (!(error instanceof Fault) || DISK.has(error.code) || error.code === "E_SOURCE_HASH") throw error;
      if (error.code === "E_SUPERSEDED") return undefined;
      throw this.unavailable(url, error);
    }
  }

  private unavailable(url: string, { details, hint, code }: Fault): Fault {
    const { origin, host } = new URL(url);
    // one that answered, if only with a refusal, may have other things
    const answered = details.some((line) => /HTTP status|sends|announces|ended at/.test(line));
    const fault = new Fault(
      "E_UNAVAILABLE",
      answered ? `${host} refuses ${path.posix.basename(new URL(url).pathname)}` : `${host} does not answer`,
      {
        details,
        // that of E_FETCH is about what was kept
        ...(hint !== undefined && code !== "E_FETCH" && { hint }),
      },
    );
    if (!answered) this.silent.set(origin, fault);
    return fault;
  }
}

const DISK: ReadonlySet<string> = new Set(["E_DISK_FULL", "E_READ_ONLY"]);

/** Hash of a file, or of what it unpacks to, in hex. */
export async function hashOf(file: string, algorithm: "sha256" | "sha512"): Promise<string> {
  const hash = createHash(algorithm);
  await piped(createReadStream(file), hash);
  return hash.digest("hex");
}

/** What a compressed archive unpacks to. Throws E_ARCHIVE for a compression that is not known, or too much. */
export function unpacked(file: string, name: string): Readable {
  const packed = createReadStream(file);
  if (name.endsWith(".xz")) return limited(unxz(packed), name);
  // what goes wrong in it, its reader is told
  if (name.endsWith(".gz"))
    return limited(
      pipeline(packed, createGunzip(), () => undefined),
      name,
    );
  packed.destroy();
  throw new Fault("E_ARCHIVE", `${name} is compressed in a way that cannot be read here`);
}

function limited(stream: Readable, name: string): Readable {
  return Readable.from(upTo(stream, name), { objectMode: false });
}

async function* upTo(stream: Readable, name: string): AsyncGenerator<Buffer> {
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MOST_UNPACKED) throw new Fault("E_ARCHIVE", `${name} unpacks to more than ${MOST_UNPACKED} bytes`);
    yield chunk;
  }
}
