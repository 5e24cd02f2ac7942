/** The file that a download grows in. */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, rename, rm, type FileHandle } from "node:fs/promises";
import path from "node:path";
import type { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { Fault } from "../fault/fault.ts";
import { diskFault } from "../host/disk.ts";

export interface Downloaded {
  readonly sha256: string;
  readonly size: number;
}

/** The file that a download grows in, with the hash of what it holds. */
export class PartialFile {
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
