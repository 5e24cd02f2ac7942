/** Lists of checksums as authors publish them: of coreutils (`<hash>  <file>`), BSD (`SHA256 (<file>) = <hash>`), or one hash. */
import path from "node:path";

/** A hash in hex, small letters. */
export interface Checksum {
  readonly algorithm: "sha256" | "sha512";
  readonly hash: string;
}

/**
 * What a list says of a file: undefined when it does not name it. A hash without a name is that of the file if the list has
 * nothing else. Throws when it has several hashes of one kind for it.
 */
export function checksumOf(list: string, file: string): Checksum | undefined {
  const rows = list.split(/\r?\n/).flatMap(rowOf);
  const named = rows.filter(({ name }) => name !== undefined && path.posix.basename(name) === file);
  const alone = rows.length === 1 && rows[0]?.name === undefined ? rows : [];
  const found = named.length > 0 ? named : alone;
  for (const algorithm of ["sha256", "sha512"] as const) {
    const hashes = new Set(found.filter((row) => row.algorithm === algorithm).map((row) => row.hash));
    if (hashes.size > 1) throw new Error(`it has ${hashes.size} different ${algorithm} hashes of ${file}`);
    for (const hash of hashes) return { algorithm, hash };
  }
  return undefined;
}

type Row = Checksum & { readonly name: string | undefined };

const LENGTHS: Readonly<Record<number, Checksum["algorithm"]>> = { 64: "sha256", 128: "sha512" };

function rowOf(line: string): Row[] {
  const bsd = /^SHA2?-?(?:256|512) ?\((?<name>.+)\) ?= ?(?<hash>[0-9A-Fa-f]+)$/.exec(line.trim());
  const plain = /^(?<hash>[0-9A-Fa-f]+)(?:[ \t]+\*?(?<name>\S.*))?$/.exec(line.trim());
  const { hash = "", name } = (bsd ?? plain)?.groups ?? {};
  const algorithm = LENGTHS[hash.length];
  return algorithm === undefined ? [] : [{ algorithm, hash: hash.toLowerCase(), name }];
}
