/**
 * Debian control data (deb(5), Debian Policy 5.1): paragraphs of `Field: value` lines, separated by empty lines.
 * The same syntax is used by Packages, Sources, Release and by APT's deb822 source lists.
 */
export type Paragraph = ReadonlyMap<string, string>;

/**
 * Paragraphs of a control file. Field names are lower-cased; continuation lines are joined with "\n" and lose their
 * first blank; comment lines are dropped. Lines that fit no syntax are ignored, as APT does.
 */
export function* paragraphs(text: string): Generator<Paragraph> {
  let fields = new Map<string, string>();
  let last: string | undefined;
  for (const line of lines(text)) {
    if (line.trim() === "") {
      if (fields.size > 0) yield fields;
      fields = new Map();
      last = undefined;
    } else if (line.startsWith("#")) {
      continue;
    } else if (line.startsWith(" ") || line.startsWith("\t")) {
      if (last !== undefined) fields.set(last, `${fields.get(last)}\n${line.slice(1)}`);
    } else {
      const colon = line.indexOf(":");
      if (colon <= 0) continue;
      last = line.slice(0, colon).trim().toLowerCase();
      fields.set(last, line.slice(colon + 1).trim());
    }
  }
  if (fields.size > 0) yield fields;
}

/** Lines without their ends. A Packages index has a million of them: they are not split all at once. */
function* lines(text: string): Generator<string> {
  for (let start = 0; start < text.length;) {
    const end = text.indexOf("\n", start);
    const stop = end === -1 ? text.length : end;
    yield text.charAt(stop - 1) === "\r" && stop > start ? text.slice(start, stop - 1) : text.slice(start, stop);
    start = stop + 1;
  }
}

export interface ListedFile {
  readonly path: string;
  readonly sha256: string;
  readonly size: number;
}

/** A `SHA256` or `Checksums-Sha256` field: one `hash size path` per line. */
export function listedFiles(field: string | undefined): ListedFile[] {
  if (field === undefined) return [];
  return field.split("\n").flatMap((line) => {
    const [sha256, size, path] = line.trim().split(/\s+/);
    return sha256 !== undefined && size !== undefined && path !== undefined
      ? [{ path, sha256, size: Number(size) }]
      : [];
  });
}
