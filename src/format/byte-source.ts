/**
 * Random access to the bytes of a file or an array, so that the headers of a file of several hundred megabytes are read
 * without loading it.
 */
import { FormatError } from "./format-error.ts";

export interface ByteSource {
  /** Bytes. */
  readonly size: number;
  /** Exactly `length` bytes from `offset`. Called only with a range that lies within `size`. */
  read(offset: number, length: number): Uint8Array;
}

export function bytesOf(array: Uint8Array): ByteSource {
  return { size: array.length, read: (offset, length) => array.subarray(offset, offset + length) };
}

/** The part of a source that starts at `offset`; offsets in it count from there. Throws FormatError when it does not fit. */
export function part(source: ByteSource, offset: number, length: number, what: string): ByteSource {
  checkRange(source, offset, length, what);
  return { size: length, read: (at, count) => source.read(offset + at, count) };
}

/** `length` bytes from `offset`; `what` names them in the FormatError for a range that the source does not have. */
export function take(source: ByteSource, offset: number, length: number, what: string): Uint8Array {
  checkRange(source, offset, length, what);
  return source.read(offset, length);
}

function checkRange(source: ByteSource, offset: number, length: number, what: string): void {
  const sound = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!sound || offset + length > source.size) {
    throw new FormatError(`${what}: ${length} bytes at offset ${offset} lie beyond the end (${source.size} bytes)`);
  }
}
