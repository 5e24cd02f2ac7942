/** Binary packages of Debian (deb(5)): an ar(5) archive of `debian-binary`, `control.tar.*` and `data.tar.*`. */
import { arMembers } from "./ar.ts";
import type { ByteSource } from "./byte-source.ts";
import { FormatError } from "./format-error.ts";

export type Compression = "none" | "gz" | "xz" | "zst";

/** Where a package's files are: a tar archive, compressed, at `start` with `size` bytes. */
export interface DebData {
  readonly compression: Compression;
  readonly start: number;
  readonly size: number;
}

const compressions = new Map<string, Compression>([
  ["data.tar", "none"],
  ["data.tar.gz", "gz"],
  ["data.tar.xz", "xz"],
  ["data.tar.zst", "zst"],
]);

/** Finds the `data.tar` member of a package; only headers are read. Throws FormatError when there is none. */
export function findDebData(deb: ByteSource): DebData {
  for (const { name, offset, size } of arMembers(deb)) {
    if (!name.startsWith("data.tar")) continue;
    const compression = compressions.get(name);
    if (compression === undefined) throw new FormatError(`${name} is compressed in an unknown way`);
    return { compression, start: offset, size };
  }
  throw new FormatError("there is no data.tar in the package");
}
