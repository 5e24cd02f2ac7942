/** HTML as values: text is escaped unless it was made here, so that nothing can be forgotten. */

/** A piece of HTML that may be put into a page as it is. */
export class Markup {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

export type Content = Markup | string | number | readonly Content[] | undefined;

/** A template whose values are escaped; markup and lists of it go in as they are, undefined as nothing. */
export function markup(parts: TemplateStringsArray, ...values: readonly Content[]): Markup {
  return new Markup(parts.map((part, index) => (index === 0 ? "" : render(values[index - 1])) + part).join(""));
}

function render(value: Content): string {
  if (value === undefined) return "";
  if (value instanceof Markup) return value.source;
  if (typeof value === "object") return value.map(render).join("");
  return escapeHtml(String(value));
}

/** Safe as text and in quoted attributes. Control characters and lone surrogates, which HTML does not allow, and
 * characters that reorder others become U+FFFD. */
export function escapeHtml(text: string): string {
  return text
    .replace(/[^\P{Cc}\t\n]|\p{Cs}|[\u202a-\u202e\u2066-\u2069]/gu, "\ufffd")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}
