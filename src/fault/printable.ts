/**
 * Text of others (steps, sources, mirrors, the Monolith, names in archives) made harmless for a terminal. Every place
 * that shows such text goes through here: control sequences move the cursor, retitle windows, answer into the user's
 * shell, or let a line look like another one.
 */

import { StringDecoder } from "node:string_decoder";

/**
 * Control sequences of ECMA-48, 5.4 to 5.6, with C1 controls as two bytes (`ESC [`) or as one character (U+009B, which
 * UTF-8 writes as C2 9B): strings with their end, CSI, and other escape sequences. A string without an end is not
 * taken, only its beginning, so that nothing hides what follows.
 */
const SEQUENCE =
  /(?:\x1b[P\]X^_]|[\x90\x98\x9d-\x9f])[^\n\x07\x1b\x80-\x9f]*(?:\x07|\x1b\\|\x9c)|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]/g;
/** C0 without tab and line feed, DEL, C1, and the separators that some programs take for the end of a line. */
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]/g;
/** Characters that reorder what stands around them (UAX #9), and invisible ones: annotations, tags. */
const REORDERING = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/** Several lines: line feeds and tabs stay, a carriage return becomes a line feed, so that no text covers another. */
export function printable(text: string): string {
  return text.replace(SEQUENCE, "").replace(/\r\n?/g, "\n").replace(CONTROL, "").replace(REORDERING, "");
}

/** One line: what would end it becomes a space. */
export function printableLine(text: string): string {
  return printable(text).replaceAll("\n", " ");
}

/** JSON without the characters that `printable` removes: JSON escapes C0 by itself, and these are written as \u too. */
export function printableJson(value: unknown, indent?: number): string {
  const escaped = (text: string): string =>
    [...Array(text.length).keys()].map((at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, "0")}`).join("");
  return JSON.stringify(value, undefined, indent)
    .replace(/[\x7f-\x9f\u2028\u2029]/g, escaped)
    .replace(REORDERING, escaped);
}

/** Characters after which a line is let go that does not end. */
const LONGEST_LINE = 1 << 16;

/** As `printable`, of bytes as they come: whole lines, so that no sequence is cut in two. */
export async function* printablePieces(bytes: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  for await (const piece of bytes) {
    rest += decoder.write(piece);
    // what is left of a sequence that is cut all the same is text without its beginning
    const end = rest.length > LONGEST_LINE ? rest.length : rest.lastIndexOf("\n") + 1;
    if (end === 0) continue;
    yield printable(rest.slice(0, end));
    rest = rest.slice(end);
  }
  yield printable(rest + decoder.end());
}
