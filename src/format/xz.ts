/**
 * Decompression of the .xz format (https://tukaani.org/xz/xz-file-format.txt) by xz-embedded in WebAssembly: what a
 * single stream of LZMA2 holds, as xz(1) writes it unless it is asked for filters or a SHA-256.
 */
import { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import xz from "xz-decompress";
import { FormatError } from "./format-error.ts";

/** Ends when the stream before has ended: all share the memory of one WebAssembly instance. */
let turn: Promise<void> = Promise.resolve();

/**
 * The decompressed bytes of an .xz stream. Fails with FormatError on a damaged or truncated one. Streams are decompressed
 * one after the other, so each must be read to its end or destroyed.
 */
export function unxz(compressed: Readable): Readable {
  return Readable.from(decompress(compressed), { objectMode: false });
}

async function* decompress(compressed: Readable): AsyncGenerator<Uint8Array> {
  const before = turn;
  let end = (): void => {};
  turn = new Promise((resolve) => (end = resolve));
  await before;
  try {
    const input = Readable.toWeb(compressed) as ReadableStream<Uint8Array>;
    const output = new xz.XzReadableStream(input) as ReadableStream<Uint8Array>;
    for await (const chunk of output) if (chunk.length > 0) yield chunk;
  } catch {
    throw new FormatError("the xz stream is damaged or ends too early");
  } finally {
    compressed.destroy();
    end();
  }
}
