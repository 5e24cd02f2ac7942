/** Downloads of pinned files over HTTP (RFC 9110), from the first place that has them, resumed where they broke. */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, rename, rm, type FileHandle } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import type { Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { Fault } from "../fault/fault.ts";
import { diskFault } from "../host/disk.ts";
import {
  describeNetworkError,
  httpClient,
  HttpError,
  PROXY_STATUS,
  withoutCredentials,
  type HttpClient,
  type HttpResponse,
} from "./http.ts";
import { placesInMirrors, type DebianMirrors } from "./mirror.ts";

export interface Download {
  /** Places of the same file, best first. */
  readonly urls: readonly string[];
  /** Hex; undefined accepts whatever comes and the result says what it was. */
  readonly sha256?: string | undefined;
  /** Bytes. */
  readonly size?: number | undefined;
  /** The most bytes to take where no size is pinned; MOST_BYTES when absent. */
  readonly limit?: number;
  /** The file to make; its folder is made too. `<to>.part` is the partial file, which a later call resumes. */
  readonly to: string;
  /** What messages call the file; the last part of the first URL when absent. */
  readonly name?: string;
  /** Hint of the fault when no place has the pinned bytes. */
  readonly mismatchHint?: string;
  /**
   * For a file of an archive that keeps the newest version only: what to do when no place has it any more. The fault is
   * E_SUPERSEDED then, not E_FETCH.
   */
  readonly supersededHint?: string | undefined;
  readonly signal?: AbortSignal;
  /** Bytes so far, and all when known; called at most once per MiB. */
  readonly onProgress?: (bytes: number, total: number | undefined) => void;
  /** A try at `url` failed and another follows, there or elsewhere. */
  readonly onRetry?: (url: string, why: string) => void;
  readonly timeouts?: Partial<Timeouts>;
  /** In place of the clock: tests ring by hand. */
  readonly startTimer?: StartTimer;
  /** The process's own when absent. */
  readonly client?: HttpClient;
}

/** Bytes that a download without a pinned size may have: several times the largest source that is pinned. */
export const MOST_BYTES = 2 ** 32;

/** Calls `ring` once after so many milliseconds, unless it is stopped before; `refresh` begins to count anew. */
export type StartTimer = (ring: () => void, milliseconds: number) => { refresh(): void; stop(): void };

/** Milliseconds. */
export interface Timeouts {
  /** Until the header of a response has come. */
  readonly response: number;
  /** Between two pieces of a body. */
  readonly idle: number;
}

export interface Downloaded {
  readonly sha256: string;
  readonly size: number;
}

const defaultTimeouts: Timeouts = { response: 30_000, idle: 30_000 };
/** How often one place may break off before the next is tried. */
const maxResumes = 5;
const progressStep = 1 << 20;

/** Places of a pin: below each mirror's root, then upstream. Without mirrors only the latter. */
export function urlsFor(
  pin: { readonly archive?: string | undefined; readonly urls?: readonly string[] | undefined },
  mirrors: DebianMirrors | undefined,
): string[] {
  const { archive } = pin;
  const inMirrors = archive === undefined || mirrors === undefined ? [] : placesInMirrors(archive, mirrors);
  return [...inMirrors, ...(pin.urls ?? [])];
}

/**
 * Downloads a file. It appears under its name only complete and with the right hash, and is then on the disk. Throws
 * E_SOURCE_HASH when a place had other bytes and none the pinned ones. When all places failed, with a line each: a code of
 * its own where all failed for the same reason (E_PROXY, E_TLS, E_REDIRECT, E_DOWNLOAD_SIZE, E_SUPERSEDED), else E_FETCH.
 * Further E_DISK_FULL, E_READ_ONLY, or the reason of the signal. The partial file stays for the next call, unless its
 * bytes are known to be wrong. Two calls for the same file at the same time must be kept apart by the caller.
 */
export async function download(request: Download): Promise<Downloaded> {
  request.signal?.throwIfAborted();
  const part = await PartialFile.open(`${request.to}.part`, request.sha256 !== undefined);
  try {
    if (await isCompleteAlready(part, request)) return await part.publish(request.to);
    const failures: PlaceFailure[] = [];
    for (const [index, url] of request.urls.entries()) {
      const failure = await fetchFrom(url, part, request);
      if (failure === undefined) return await part.publish(request.to);
      failures.push(failure);
      if (index + 1 < request.urls.length) request.onRetry?.(withoutCredentials(url), failure.why);
    }
    throw allFailed(request, failures);
  } finally {
    await part.close();
  }
}

/** A partial file of an earlier call may hold all bytes: the call ended before it could rename. */
async function isCompleteAlready(part: PartialFile, { size, sha256 }: Download): Promise<boolean> {
  if (size === undefined || part.length < size) return false;
  if (part.length === size && part.digest() === sha256) return true;
  await part.reset();
  return false;
}

interface PlaceFailure {
  readonly url: string;
  readonly why: string;
  /** What the place had instead of the pinned bytes. */
  readonly got?: string;
  /** The kind of failure, where it has a code of its own. */
  readonly code?: FailureCode | undefined;
  /** What the reader can do, if that depends on the failure. */
  readonly hint?: string | undefined;
}

type FailureCode = "E_PROXY" | "E_TLS" | "E_REDIRECT" | "E_DOWNLOAD_SIZE" | "E_SUPERSEDED";

/** Fills the partial file from one place, in several requests if need be. */
async function fetchFrom(url: string, part: PartialFile, request: Download): Promise<PlaceFailure | undefined> {
  for (let resumes = 0, barren = 0; ;) {
    const end = await transfer(url, part, request);
    if (end.state === "complete") {
      const delivered = part.digest();
      if (await isTheFile(url, part, end.encoding, request)) return undefined;
      const mixed = part.origin !== url;
      await part.reset();
      const label = end.encoding === undefined ? "" : `, sent as Content-Encoding: ${end.encoding}`;
      const got = `sha256 ${delivered}`;
      if (!mixed) return { url, why: `other bytes, ${got}${label}`, got };
      request.onRetry?.(withoutCredentials(url), "what was there already is not the beginning of this file");
    } else if (end.state === "failed" || ++resumes > maxResumes || (end.received === 0 && ++barren > 1)) {
      return { ...(end.state === "failed" ? end : {}), url, why: end.why };
    } else {
      request.onRetry?.(withoutCredentials(url), `${end.why}; going on at byte ${part.length}`);
    }
  }
}

/**
 * Whether the partial file is the file now. Some servers label an archive `Content-Encoding: x-gzip` because it is packed,
 * others pack in transit what was not: the pinned hash tells which. Without one the name of the file has to.
 */
async function isTheFile(
  url: string,
  part: PartialFile,
  encoding: string | undefined,
  request: Download,
): Promise<boolean> {
  const { sha256, size, limit = MOST_BYTES } = request;
  if (sha256 !== undefined && part.digest() === sha256) return true;
  if (encoding === undefined) return sha256 === undefined;
  const isArchive = /\.(?:gz|tgz|crate|deb)$/.test(new URL(url).pathname);
  if (sha256 !== undefined || !isArchive) await part.decode(encoding, size ?? limit);
  return sha256 === undefined || part.digest() === sha256;
}

type TransferEnd =
  /** `encoding`: what the server says about the bytes, if it says that they are packed. */
  | { readonly state: "complete"; readonly encoding?: string | undefined }
  /** The connection broke or the body ended too early; `received` bytes of it were kept. */
  | { readonly state: "cut"; readonly why: string; readonly received: number }
  | ({ readonly state: "failed" } & Omit<PlaceFailure, "url">);

/** One request: appends to the partial file what the server sends. */
async function transfer(url: string, part: PartialFile, request: Download): Promise<TransferEnd> {
  const watch = new Watchdog(request);
  let received = 0;
  try {
    await forgetUnlessResumable(part, url, request);
    const response = await (request.client ?? httpClient()).request(url, {
      headers: headersFor(url, part),
      signal: watch.signal,
      // who is on the way can do no harm to a file that is pinned
      allowDowngrade: request.sha256 !== undefined,
    });
    const answer = await readAnswer(response, part, request);
    if ("state" in answer) {
      response.discard();
      return answer;
    }
    part.startedFrom(url, response.header("etag"));
    const { total, most, encoding } = answer;
    const report = throttled(request);
    watch.body();
    for await (const chunk of response.body) {
      watch.alive();
      if (part.length + chunk.length > (total ?? most)) {
        await part.reset();
        if (total !== undefined) return { state: "failed", why: `sends more than the ${total} bytes it announced` };
        return tooLarge(`sends more than ${most} bytes`);
      }
      await part.append(chunk);
      received += chunk.length;
      report(part.length, total);
    }
    if (total !== undefined && part.length < total) {
      return { state: "cut", why: `ended at byte ${part.length} of ${total}`, received };
    }
    return { state: "complete", encoding };
  } catch (error) {
    if (error instanceof Fault) throw error;
    request.signal?.throwIfAborted();
    const why = watch.expired ?? describeNetworkError(error);
    // also before the first byte: a server may close a connection at the moment in which it is used again
    if (received > 0 || (error instanceof HttpError && error.how === "broken")) return { state: "cut", why, received };
    if (watch.expired !== undefined || !(error instanceof HttpError)) return { state: "failed", why };
    return { state: "failed", why, code: error.code === "E_FETCH" ? undefined : error.code, hint: error.hint };
  } finally {
    watch.end();
  }
}

/** Without a pinned hash only an entity tag of the same place shows that two pieces belong together. */
async function forgetUnlessResumable(part: PartialFile, url: string, { sha256 }: Download): Promise<void> {
  if (part.length === 0 || sha256 !== undefined) return;
  if (part.origin !== url || part.etag === undefined) await part.reset();
}

function headersFor(url: string, part: PartialFile): Record<string, string> {
  return {
    // compression in transit would give other bytes than the pinned ones
    "accept-encoding": "identity",
    ...(part.length > 0 && { range: `bytes=${part.length}-` }),
    ...(part.length > 0 && part.origin === url && part.etag !== undefined && { "if-range": part.etag }),
  };
}

/** What a body is to be: the length of the whole file, if it is known, and the most that is taken of it. */
interface Answer {
  readonly total: number | undefined;
  readonly most: number;
  readonly encoding: string | undefined;
}

/** What a response means for the partial file: an end, or a body to come. */
async function readAnswer(response: HttpResponse, part: PartialFile, request: Download): Promise<TransferEnd | Answer> {
  const { status } = response;
  const range = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(response.header("content-range") ?? "");
  if (status === 416 && part.length > 0) {
    if (range !== null && Number(range[2]) === part.length) return { state: "complete" };
    const received = part.length;
    await part.reset();
    return { state: "cut", why: "has fewer bytes than are here already", received };
  }
  if (status !== 200 && status !== 206) return refused(response);
  const label = (response.header("content-encoding") ?? "").trim().toLowerCase();
  const encoding = label === "" || label === "identity" ? undefined : label;
  if (status === 206 && Number(range?.[1]) !== part.length) {
    return { state: "failed", why: "sends another range than the one asked for" };
  }
  if (status === 200) await part.reset();
  const total = totalLength(status, response.header("content-length"), range?.[2]);
  const { size, limit = MOST_BYTES } = request;
  if (encoding !== undefined) {
    // packing what cannot be packed makes it a little larger
    const most = size === undefined ? limit : size + Math.ceil(size / 256) + 4096;
    return total !== undefined && total > most ? tooLarge(`announces ${total} bytes`) : { total, most, encoding };
  }
  if (size !== undefined && total !== undefined && total !== size) {
    return { state: "failed", why: `other bytes, ${total} of them`, got: `${total} bytes` };
  }
  if (size === undefined && total !== undefined && total > limit) {
    return tooLarge(`announces ${total} bytes, more than the ${limit} that are taken without a pinned size`);
  }
  return { total: size ?? total, most: limit, encoding };
}

function tooLarge(why: string): TransferEnd {
  const hint = "is it the right place? A source is pinned with its size in the channel's file";
  return { state: "failed", why, code: "E_DOWNLOAD_SIZE", hint };
}

function refused({ status, proxy }: HttpResponse): TransferEnd {
  const why = `HTTP status ${status}`;
  if (status === 404 || status === 410) return { state: "failed", why, code: "E_SUPERSEDED" };
  if (proxy === undefined || !PROXY_STATUS.has(status)) return { state: "failed", why };
  const by = `the proxy ${proxy.shown} (${proxy.source})`;
  return {
    state: "failed",
    why: `${why} from ${by} or behind it`,
    code: "E_PROXY",
    hint: `see what ${proxy.source} names`,
  };
}

function totalLength(
  status: number,
  contentLength: string | undefined,
  rangeTotal: string | undefined,
): number | undefined {
  const text = status === 206 ? rangeTotal : contentLength;
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

function throttled({ onProgress }: Download): (bytes: number, total: number | undefined) => void {
  let next = 0;
  return (bytes, total) => {
    if (bytes < next && bytes !== total) return;
    next = bytes + progressStep;
    onProgress?.(bytes, total);
  };
}

/** Aborts a request that stays silent for too long. */
class Watchdog {
  expired: string | undefined;
  private readonly controller = new AbortController();
  private readonly timeouts: Timeouts;
  private timer: ReturnType<StartTimer>;
  private readonly stop = (): void => this.controller.abort(this.request.signal?.reason);

  constructor(private readonly request: Download) {
    this.timeouts = { ...defaultTimeouts, ...request.timeouts };
    request.signal?.addEventListener("abort", this.stop, { once: true });
    this.timer = this.start(this.timeouts.response, "no answer");
    if (request.signal?.aborted === true) this.stop();
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** The header has come: from now on the pause between two pieces counts. */
  body(): void {
    this.timer.stop();
    this.timer = this.start(this.timeouts.idle, "no further data");
  }

  alive(): void {
    this.timer.refresh();
  }

  end(): void {
    this.timer.stop();
    this.request.signal?.removeEventListener("abort", this.stop);
  }

  private start(milliseconds: number, what: string): ReturnType<StartTimer> {
    const ring = (): void => {
      this.expired = `${what} within ${milliseconds / 1000} s`;
      this.controller.abort();
    };
    return (this.request.startTimer ?? startTimeout)(ring, milliseconds);
  }
}

const startTimeout: StartTimer = (ring, milliseconds) => {
  const timeout = setTimeout(ring, milliseconds);
  return { refresh: () => void timeout.refresh(), stop: () => clearTimeout(timeout) };
};

/** The file that a download grows in, with the hash of what it holds. */
class PartialFile {
  length = 0;
  /** The only place that bytes came from; undefined when there are several, or an earlier call. */
  origin: string | undefined;
  etag: string | undefined;
  private hash: Hash = createHash("sha256");

  private constructor(
    private readonly file: string,
    private handle: FileHandle,
  ) {}

  static async open(file: string, keep: boolean): Promise<PartialFile> {
    return onDisk(file, async () => {
      await mkdir(path.dirname(file), { recursive: true });
      const part = new PartialFile(file, await open(file, "a+"));
      if (!keep) await part.handle.truncate(0);
      await part.readBack((await part.handle.stat()).size);
      return part;
    });
  }

  private async readBack(size: number): Promise<void> {
    if (size === 0) return;
    for await (const chunk of this.handle.createReadStream({ start: 0, end: size - 1, autoClose: false })) {
      this.hash.update(chunk as Buffer);
      this.length += (chunk as Buffer).length;
    }
  }

  /** Notes where the bytes that follow come from. */
  startedFrom(url: string, etag: string | undefined): void {
    if (this.length === 0) this.origin = url;
    else if (this.origin !== url) this.origin = undefined;
    // a weak tag does not promise identical bytes (RFC 9110, 8.8.1)
    this.etag = etag === undefined || etag.startsWith("W/") ? undefined : etag;
  }

  async append(chunk: Uint8Array): Promise<void> {
    await onDisk(this.file, () => this.handle.appendFile(chunk));
    this.hash.update(chunk);
    this.length += chunk.length;
  }

  async reset(): Promise<void> {
    if (this.length === 0) return;
    await onDisk(this.file, () => this.handle.truncate(0));
    this.hash = createHash("sha256");
    this.length = 0;
    this.origin = undefined;
    this.etag = undefined;
  }

  digest(): string {
    return this.hash.copy().digest("hex");
  }

  /** Replaces the content by what it unpacks to, at most so many bytes; what cannot be unpacked stays as it is. */
  async decode(encoding: string, most: number): Promise<void> {
    const unpacker = unpackerOf(encoding);
    if (unpacker === undefined) return;
    const plain = `${this.file}.plain`;
    const handle = await onDisk(plain, () => open(plain, "w+"));
    let bytes = 0;
    try {
      // not from the handle: a pipeline that fails would close it
      const packed = createReadStream(this.file);
      await pipeline(packed, unpacker, async (chunks: AsyncIterable<Buffer>) => {
        for await (const chunk of chunks) {
          bytes += chunk.length;
          if (bytes > most) throw new RangeError("unpacks to more than the file can have");
          await onDisk(plain, () => handle.appendFile(chunk));
        }
      });
    } catch (error) {
      await handle.close();
      await rm(plain, { force: true });
      if (error instanceof Fault) throw error;
      return;
    }
    await this.handle.close();
    await onDisk(plain, () => rename(plain, this.file));
    this.handle = handle;
    this.hash = createHash("sha256");
    this.length = 0;
    await this.readBack(bytes);
  }

  async publish(to: string): Promise<Downloaded> {
    await onDisk(this.file, async () => {
      await this.handle.sync();
      await rename(this.file, to);
    });
    return { sha256: this.digest(), size: this.length };
  }

  /** Leaves no empty file behind. */
  async close(): Promise<void> {
    await this.handle.close();
    if (this.length === 0) await rm(this.file, { force: true });
  }
}

/** Content codings (RFC 9110, 8.4.1) that Node can undo. */
function unpackerOf(encoding: string): Transform | undefined {
  if (encoding === "gzip" || encoding === "x-gzip") return createGunzip();
  if (encoding === "deflate") return createInflate();
  return encoding === "br" ? createBrotliDecompress() : undefined;
}

async function onDisk<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw diskFault(cause, file) ?? cause;
  }
}

function allFailed(request: Download, failures: readonly PlaceFailure[]): Fault {
  const name = request.name ?? path.posix.basename(new URL(request.urls[0] ?? "http://none/a file").pathname);
  const places = failures.map(({ url, why }) => `${withoutCredentials(url)}: ${why}`);
  const got = failures.find((failure) => failure.got !== undefined)?.got;
  if (got === undefined) return notFetched(name, request, failures, places);
  const expected = got.startsWith("sha256") ? `sha256 ${request.sha256}` : `${request.size} bytes`;
  return new Fault("E_SOURCE_HASH", `${name} is not the file that is pinned`, {
    details: [`expected ${expected}`, `got      ${got}`, ...places],
    hint: request.mismatchHint ?? "the place may have replaced the file; nothing of it was kept",
  });
}

function notFetched(
  name: string,
  { supersededHint }: Download,
  failures: readonly PlaceFailure[],
  places: readonly string[],
): Fault {
  const code = failures.every((failure) => failure.code === failures[0]?.code) ? failures[0]?.code : undefined;
  if (code === "E_SUPERSEDED" && supersededHint !== undefined) {
    return new Fault(code, `no mirror has ${name} any more`, { details: places, hint: supersededHint });
  }
  const hint = failures.find((failure) => failure.hint !== undefined)?.hint;
  return new Fault(code === undefined || code === "E_SUPERSEDED" ? "E_FETCH" : code, `${name} cannot be downloaded`, {
    details: places.length > 0 ? places : ["no place is known that has it"],
    hint: hint ?? "check the network; what is here already is kept and resumed",
  });
}
