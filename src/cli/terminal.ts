/** The only way from a command to the user's terminal: what others wrote, names in it for example, stays text. */
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { printable, printableJson, printableLine, printablePieces } from "../fault/printable.ts";
import type { Streams } from "../project/streams.ts";

export class Terminal {
  constructor(readonly streams: Streams) {}

  /** Text of several lines, which ends with a line feed. */
  print(text: string): void {
    this.streams.output.write(printable(text));
  }

  /** Each stays one line. */
  lines(lines: readonly string[]): void {
    this.streams.output.write(lines.map((line) => `${printableLine(line)}\n`).join(""));
  }

  /** A document, or with `indent` undefined a line. */
  json(value: unknown, indent?: number): void {
    this.streams.output.write(`${printableJson(value, indent)}\n`);
  }

  /** As `print`, for what is not the result. */
  complain(text: string): void {
    this.streams.errors.write(printable(text));
  }

  /** Text that somebody else wrote: to a terminal as `print` does, into a file or another program unchanged. */
  foreign(text: string): void {
    const { output } = this.streams;
    output.write(output.isTTY === true ? printable(text) : text);
  }

  /** As `foreign`, byte for byte and piece by piece. */
  async stream(bytes: Readable): Promise<void> {
    const { output } = this.streams;
    await pipeline(bytes, output.isTTY === true ? printablePieces : pass, output, { end: false });
  }
}

async function* pass(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield* bytes;
}
