/** Pieces of a terminal line with a style each, so that a line can be measured and cut before it is coloured. */
import { printableLine } from "../fault/printable.ts";
import { columns, truncate } from "./width.ts";

export type Style = "plain" | "dim" | "bold" | "good" | "bad" | "warn";

export interface Span {
  readonly text: string;
  readonly style: Style;
}

/** ECMA-48 SGR parameters. Only the eight basic colours: they follow the user's theme. */
const SGR: Readonly<Record<Style, string>> = {
  plain: "",
  dim: "2",
  bold: "1",
  good: "32",
  bad: "31",
  warn: "33",
};

/** Whatever the text is, it cannot leave its place in the line. */
export const span = (text: string, style: Style = "plain"): Span => ({
  text: printableLine(text),
  style,
});

/** The spans cut to `width` columns in all. */
export function fit(spans: readonly Span[], width: number, mark: string): Span[] {
  const fitted: Span[] = [];
  let left = width;
  for (const { text, style } of spans) {
    const taken = columns(text);
    if (taken > left) {
      fitted.push({ text: truncate(text, left, mark), style });
      break;
    }
    fitted.push({ text, style });
    left -= taken;
  }
  return fitted;
}

/** The spans as text for a terminal. */
export function paint(spans: readonly Span[], colour: boolean): string {
  return spans
    .map(({ text, style }) => (colour && style !== "plain" && text !== "" ? `\x1b[${SGR[style]}m${text}\x1b[0m` : text))
    .join("");
}

/** Every span dimmed: it is not what the reader should look at now. */
export function fade(spans: readonly Span[]): Span[] {
  return spans.map(({ text }) => ({ text, style: "dim" }));
}
