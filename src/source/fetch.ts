/** Downloads of pinned files over HTTP (RFC 9110), from the first place that has them, resumed where they broke. */
import { createHash, type Hash } from "node:crypto";
import { mkdir, open, rename, rm, type FileHandle } from "node:fs/promises";
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";
import { diskFault } from "./disk.ts";
import { httpRequest } from "./http.ts";
import { placesInMirrors } from "./mirror.ts";

export interface Download {
  /** Places of the same file, best first. */
  readonly urls: readonly string[];
  /** Hex; undefined accepts whatever comes and the result says what it was. */
  readonly sha256?: string | undefined;
  /** Bytes. */
  readonly size?: number | undefined;
  /** The file to make; its folder is made too. `<to>.part` is the partial file, which a later call resumes. */
  readonly to: string;
  /** What messages call the file; the last part of the first URL when absent. */
  readonly name?: string;
  /** Hint of the fault when no place has the pinned bytes. */
  readonly mismatchHint?: string;
  readonly signal?: AbortSignal;
  /** Bytes so far, and all when known; called at most once per MiB. */
  readonly onProgress?: (bytes: number, total: number | undefined) => void;
  /** A try at `url` failed and another follows, there or elsewhere. */
  readonly onRetry?: (url: string, why: string) => void;
  readonly timeouts?: Partial<Timeouts>;
  /** In place of the clock: tests ring by hand. */
  readonly startTimer?: StartTimer;
}

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

/** Places of a pin: below each mirror's root, then upstream. */
export function urlsFor(
  pin: { readonly archive?: string | undefined; readonly urls?: readonly string[] | undefined },
  mirrors: readonly string[],
): string[] {
  const { archive } = pin;
  return [...(archive === undefined ? [] : placesInMirrors(archive, mirrors)), ...(pin.urls ?? [])];
}

/**
 * Downloads a file. It appears under its name only complete and with the right hash, and is then on the disk. Throws
 * E_SOURCE_HASH when a place had other bytes and none the pinned ones, E_FETCH when all places failed (a line each),
 * E_DISK_FULL, E_READ_ONLY, or the reason of the signal. The partial file stays for the next call, unless its bytes
 * are known to be wrong. Two calls for the same file at the same time must be kept apart by the caller.
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
}

/** Fills the partial file from one place, in several requests if need be. */
async function fetchFrom(url: string, part: PartialFile, request: Download): Promise<PlaceFailure | undefined> {
  for (let resumes = 0, barren = 0; ;) {
    const end = await transfer(url, part, request);
    if (end.state === "complete") {
      const got = part.digest();
      if (request.sha256 === undefined || got === request.sha256) return undefined;
      const mixed = part.origin !== url;
      await part.reset();
      if (!mixed) return { url, why: `other bytes, sha256 ${got}`, got: `sha256 ${got}` };
      request.onRetry?.(withoutCredentials(url), "what was there already is not the beginning of this file");
    } else if (end.state === "failed" || ++resumes > maxResumes || (end.received === 0 && ++barren > 1)) {
      return { url, why: end.why, ...(end.state === "failed" && end.got !== undefined && { got: end.got }) };
    } else {
      request.onRetry?.(withoutCredentials(url), `${end.why}; going on at byte ${part.length}`);
    }
  }
}

type TransferEnd =
  | { readonly state: "complete" }
  /** The connection broke or the body ended too early; `received` bytes of it were kept. */
  | { readonly state: "cut"; readonly why: string; readonly received: number }
  | { readonly state: "failed"; readonly why: string; readonly got?: string };

/** One request: appends to the partial file what the server sends. */
async function transfer(url: string, part: PartialFile, request: Download): Promise<TransferEnd> {
  const watch = new Watchdog(request);
  let received = 0;
  try {
    await forgetUnlessResumable(part, url, request);
    const response = await httpRequest(withoutCredentials(url), {
      headers: headersFor(url, part),
      signal: watch.signal,
    });
    const answer = await readAnswer(response, part, request);
    if ("state" in answer) {
      await response.body?.cancel().catch(() => {});
      return answer;
    }
    part.startedFrom(url, response.headers.get("etag"));
    const total = answer.total;
    const report = throttled(request);
    watch.body();
    const body: AsyncIterable<Uint8Array> | null = response.body;
    if (body !== null) {
      for await (const chunk of body) {
        watch.alive();
        if (total !== undefined && part.length + chunk.length > total) {
          await part.reset();
          return { state: "failed", why: `sends more than the ${total} bytes it announced` };
        }
        await part.append(chunk);
        received += chunk.length;
        report(part.length, total);
      }
    }
    if (total !== undefined && part.length < total) {
      return { state: "cut", why: `ended at byte ${part.length} of ${total}`, received };
    }
    return { state: "complete" };
  } catch (error) {
    if (error instanceof Fault) throw error;
    request.signal?.throwIfAborted();
    const why = watch.expired ?? describeNetworkError(error);
    // also before the first byte: a server may close a connection at the moment in which it is used again
    const reset = ["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"].includes(errno(causeOf(error)) ?? "");
    return received > 0 || reset ? { state: "cut", why, received } : { state: "failed", why };
  } finally {
    watch.end();
  }
}

/** Without a pinned hash only an entity tag of the same place shows that two pieces belong together. */
async function forgetUnlessResumable(part: PartialFile, url: string, { sha256 }: Download): Promise<void> {
  if (part.length === 0 || sha256 !== undefined) return;
  if (part.origin !== url || part.etag === undefined) await part.reset();
}

/** The header for a name and password in a URL (RFC 7617); none without them. */
export function authorization(url: string): Record<string, string> {
  const { username, password } = new URL(url);
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return username === "" ? {} : { authorization: `Basic ${Buffer.from(credentials).toString("base64")}` };
}

function headersFor(url: string, part: PartialFile): Record<string, string> {
  return {
    // compression in transit would give other bytes than the pinned ones
    "accept-encoding": "identity",
    ...authorization(url),
    ...(part.length > 0 && { range: `bytes=${part.length}-` }),
    ...(part.length > 0 && part.origin === url && part.etag !== undefined && { "if-range": part.etag }),
  };
}

/** What a response means for the partial file: an end, or a body of which `total` is the length of the whole file. */
async function readAnswer(
  response: Response,
  part: PartialFile,
  request: Download,
): Promise<TransferEnd | { readonly total: number | undefined }> {
  const { status, headers } = response;
  const range = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(headers.get("content-range") ?? "");
  if (status === 416 && part.length > 0) {
    if (range !== null && Number(range[2]) === part.length) return { state: "complete" };
    const received = part.length;
    await part.reset();
    return { state: "cut", why: "has fewer bytes than are here already", received };
  }
  if (status !== 200 && status !== 206) return { state: "failed", why: `HTTP status ${status}` };
  const encoding = headers.get("content-encoding") ?? "identity";
  if (encoding !== "identity") return { state: "failed", why: `compresses the file in transit (${encoding})` };
  if (status === 206 && Number(range?.[1]) !== part.length) {
    return { state: "failed", why: "sends another range than the one asked for" };
  }
  if (status === 200) await part.reset();
  const total = totalLength(status, headers.get("content-length"), range?.[2]);
  if (request.size !== undefined && total !== undefined && total !== request.size) {
    return { state: "failed", why: `other bytes, ${total} of them`, got: `${total} bytes` };
  }
  return { total: request.size ?? total };
}

function totalLength(status: number, contentLength: string | null, rangeTotal: string | undefined): number | undefined {
  const text = status === 206 ? rangeTotal : contentLength;
  return text !== undefined && text !== null && /^\d+$/.test(text) ? Number(text) : undefined;
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
    private readonly handle: FileHandle,
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
  startedFrom(url: string, etag: string | null): void {
    if (this.length === 0) this.origin = url;
    else if (this.origin !== url) this.origin = undefined;
    // a weak tag does not promise identical bytes (RFC 9110, 8.8.1)
    this.etag = etag === null || etag.startsWith("W/") ? undefined : etag;
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
  if (got === undefined) {
    return new Fault("E_FETCH", `${name} cannot be downloaded`, {
      details: places.length > 0 ? places : ["no place is known that has it"],
      hint: "check the network; what is here already is kept and resumed",
    });
  }
  const expected = got.startsWith("sha256") ? `sha256 ${request.sha256}` : `${request.size} bytes`;
  return new Fault("E_SOURCE_HASH", `${name} is not the file that is pinned`, {
    details: [`expected ${expected}`, `got      ${got}`, ...places],
    hint: request.mismatchHint ?? "the place may have replaced the file; nothing of it was kept",
  });
}

export function withoutCredentials(url: string): string {
  const parsed = new URL(url);
  parsed.username = "";
  parsed.password = "";
  return parsed.href;
}

/** What lies under the "fetch failed" of global fetch. */
function causeOf(error: unknown): unknown {
  return (error as { cause?: unknown }).cause ?? error;
}

function describeNetworkError(error: unknown): string {
  const cause = causeOf(error);
  switch (errno(cause)) {
    case "ECONNREFUSED":
      return "connection refused";
    case "ECONNRESET":
    case "UND_ERR_SOCKET":
      return "connection broken";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "host name not found";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "not reachable";
    case "UND_ERR_CONNECT_TIMEOUT":
    case "ETIMEDOUT":
      return "no connection in time";
    default:
      return cause instanceof Error ? cause.message : String(cause);
  }
}
