/** A distributor's packaging archive (dpkg-source(1), format 3.0 (quilt)): its patches and what its changelog says. */
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { Fault } from "../fault/fault.ts";
import { tarEntries } from "../format/tar.ts";
import { unxz } from "../format/xz.ts";

export interface Packaging {
  /** Names of its patches as a channel writes them (`patches/<name>`), in the order in which they are applied. */
  readonly series: readonly string[];
  /** Those whose name or text tells of a vulnerability. */
  readonly fixes: ReadonlySet<string>;
  /** Newest first. */
  readonly changelog: readonly ChangelogEntry[];
}

export interface ChangelogEntry {
  readonly version: string;
  /** CVE and GHSA identifiers in its text, each once. */
  readonly ids: readonly string[];
}

/** `name` is the archive's, with its ending. Throws E_ARCHIVE for a damaged one or a compression that is not known. */
export async function readPackaging(bytes: Buffer, name: string): Promise<Packaging> {
  const texts = new Map<string, string>();
  try {
    for await (const entry of tarEntries(decompressed(bytes, name))) {
      const file = entry.name.replace(/^[^/]*\//, "");
      if (entry.type !== "file" || (file !== "changelog" && !file.startsWith("patches/"))) continue;
      const chunks: Buffer[] = [];
      for await (const chunk of entry.body) chunks.push(chunk);
      texts.set(file, Buffer.concat(chunks).toString("utf8"));
    }
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault("E_ARCHIVE", `${name} is not a complete tar archive: ${(cause as Error).message}`, { cause });
  }
  const series = seriesOf(texts.get("patches/series") ?? "");
  const fixes = series.filter((file) => identifiers(`${file}\n${header(texts.get(file) ?? "")}`).length > 0);
  return { series, fixes: new Set(fixes), changelog: changelogOf(texts.get("changelog") ?? "") };
}

function decompressed(bytes: Buffer, name: string): Readable {
  const stream = Readable.from([bytes]);
  if (name.endsWith(".tar.xz")) return unxz(stream);
  if (name.endsWith(".tar.gz")) return stream.pipe(createGunzip());
  throw new Fault("E_ARCHIVE", `${name} is compressed in a way that cannot be read here`);
}

/** quilt(1): a name a line, options after it, "#" begins a comment. */
function seriesOf(text: string): string[] {
  return text.split("\n").flatMap((line) => {
    const [file] = line
      .replace(/(?:^|\s)#.*/, "")
      .trim()
      .split(/\s+/);
    return file === undefined || file === "" ? [] : [`patches/${file}`];
  });
}

/** What stands before the first change. */
function header(patch: string): string {
  const end = /^--- /m.exec(patch)?.index ?? patch.length;
  return patch.slice(0, end);
}

/** deb-changelog(5): `package (version) suites; key=value`, then indented lines. */
function changelogOf(text: string): ChangelogEntry[] {
  const heads = [...text.matchAll(/^[a-z0-9][a-z0-9+.-]* \(([^)\s]+)\) .*$/gm)];
  return heads.map((head, index) => ({
    version: head[1] as string,
    ids: identifiers(text.slice(head.index, heads[index + 1]?.index)),
  }));
}

function identifiers(text: string): string[] {
  return [...new Set(text.match(/CVE-\d{4}-\d{4,}|GHSA(?:-[0-9a-z]{4}){3}/g) ?? [])];
}
