/** Binary packages of Debian (deb(5)): an ar(5) archive of `debian-binary`, `control.tar.*` and `data.tar.*`. */
import type { FileHandle } from "node:fs/promises";

export type Compression = "none" | "gz" | "xz" | "zst";

/** Where a package's files are: a tar archive, compressed, at `start` with `size` bytes. */
export interface DebData {
  readonly compression: Compression;
  readonly start: number;
  readonly size: number;
}

const magic = "!<arch>\n";
/** Bytes of a member's header. */
const headerSize = 60;
const compressions = new Map<string, Compression>([
  ["data.tar", "none"],
  ["data.tar.gz", "gz"],
  ["data.tar.xz", "xz"],
  ["data.tar.zst", "zst"],
]);

/** Finds the `data.tar` member of a package. Throws an Error that says what is wrong with a file that has none. */
export async function findDebData(file: FileHandle): Promise<DebData> {
  const { size: end } = await file.stat();
  if ((await readText(file, 0, magic.length)) !== magic) throw new Error("not an ar archive");
  for (let at = magic.length; at + headerSize <= end; ) {
    const header = await readText(file, at, headerSize);
    const name = header.slice(0, 16).trimEnd().replace(/\/$/, "");
    const size = Number(header.slice(48, 58));
    if (!header.endsWith("`\n") || !Number.isSafeInteger(size) || size < 0) {
      throw new Error(`damaged ar header at byte ${at}`);
    }
    const start = at + headerSize;
    if (start + size > end) throw new Error(`truncated: ${name} ends at byte ${start + size} of ${end}`);
    const compression = compressions.get(name);
    if (compression !== undefined) return { compression, start, size };
    if (name.startsWith("data.tar")) throw new Error(`unknown compression: ${name}`);
    // members start at even offsets
    at = start + size + (size % 2);
  }
  throw new Error("no data.tar in the package");
}

async function readText(file: FileHandle, position: number, length: number): Promise<string> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
  return buffer.toString("latin1", 0, bytesRead);
}
