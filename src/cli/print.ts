/** The only way from a command to the user's terminal: what others wrote, names in it for example, stays text. */
import { pipeline } from "node:stream/promises";
import type { Readable } from "node:stream";
import { printable, printableJson, printableLine, printablePieces } from "../fault/printable.ts";

/** Text of several lines, which ends with a line feed. */
export function print(text: string): void {
  process.stdout.write(printable(text));
}

/** Each stays one line. */
export function printLines(lines: readonly string[]): void {
  process.stdout.write(lines.map((line) => `${printableLine(line)}\n`).join(""));
}

/** A document, or with `indent` undefined a line. */
export function printJson(value: unknown, indent?: number): void {
  process.stdout.write(`${printableJson(value, indent)}\n`);
}

/** As `print`, for what is not the result. */
export function complain(text: string): void {
  process.stderr.write(printable(text));
}

/** Text that somebody else wrote: to a terminal as `print` does, into a file or another program unchanged. */
export function printForeign(text: string): void {
  process.stdout.write(process.stdout.isTTY ? printable(text) : text);
}

/** As `printForeign`, byte for byte and piece by piece. */
export async function printStream(bytes: Readable): Promise<void> {
  await pipeline(bytes, process.stdout.isTTY ? printablePieces : pass, process.stdout, { end: false });
}

async function* pass(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield* bytes;
}
