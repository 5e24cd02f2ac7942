/**
 * Text on a terminal: how many columns it takes, and how to make it harmless. Columns follow Unicode Annex 11 (East
 * Asian Width) by block, which is what terminals do; sequences joined by U+200D are counted code point by code point,
 * which is never too little.
 */
import { printableLine } from "../fault/printable.ts";

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{16fe0}-\u{18aff}\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;
/** Takes no column: combining marks and format characters. */
const NARROWEST = /[\p{Mn}\p{Me}\p{Cf}]/u;
const PRINTABLE_ASCII = /^[\x20-\x7e]*$/;

/** Columns that `text` takes; it holds no control characters. */
export function columns(text: string): number {
  if (PRINTABLE_ASCII.test(text)) return text.length;
  let total = 0;
  for (const character of text) total += columnsOf(character);
  return total;
}

/** `text` in at most `width` columns; what is cut off is marked with `mark` (one column). */
export function truncate(text: string, width: number, mark = "…"): string {
  if (columns(text) <= width) return text;
  if (width <= 0) return "";
  let total = 0;
  let kept = "";
  for (const character of text) {
    total += columnsOf(character);
    if (total > width - 1) break;
    kept += character;
  }
  return kept + mark;
}

/** `text` filled with spaces to `width` columns. */
export function pad(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - columns(text)));
}

/**
 * A line of foreign output made safe to print: no escape sequences, no control characters; after carriage returns what
 * the line last showed.
 */
export function clean(line: string): string {
  const shown = line
    .split("\r")
    .map(printableLine)
    .filter((part) => part !== "");
  return (shown.at(-1) ?? "").replaceAll("\t", "  ").trimEnd();
}

function columnsOf(character: string): number {
  if (NARROWEST.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}
