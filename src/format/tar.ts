/** Tar archives (POSIX.1-2001 pax, ustar, GNU long names, v7) as a stream of entries, and checks of what they name. */
import type { Readable } from "node:stream";
import { extract, type Header } from "tar-stream";

export interface TarEntry {
  /** Without "." and empty parts, so that one place has one name; the archive's root is "". */
  readonly name: string;
  readonly type: NonNullable<Header["type"]> | "unknown";
  /** Permission bits including setuid, setgid and sticky. */
  readonly mode: number;
  /** Bytes. */
  readonly size: number;
  /** Target of a symbolic link (as stored) or of a hard link (normalised like `name`); else "". */
  readonly target: string;
  /** Contents of a file; must be read before the next entry is asked for, or else is skipped. */
  readonly body: AsyncIterable<Buffer>;
}

/** Entries of an uncompressed archive, in its order. Fails with an Error on a damaged or truncated archive. */
export async function* tarEntries(tar: Readable): AsyncGenerator<TarEntry> {
  // the archives of some GNU packages are older than the ustar magic; the checksum of each header is checked anyway
  const extraction = extract({ allowUnknownFormat: true } as object);
  tar.on("error", (error) => extraction.destroy(error));
  tar.pipe(extraction);
  try {
    for await (const entry of extraction) {
      const { name, mode, size } = entry.header;
      // what the declarations do not say: null for an unknown type and for an empty target
      const { type, linkname } = entry.header as { type: TarEntry["type"] | null; linkname: string | null };
      const target = linkname ?? "";
      yield {
        name: normalise(name),
        type: type ?? "unknown",
        mode,
        size,
        target: type === "link" ? normalise(target) : target,
        body: entry as AsyncIterable<Buffer>,
      };
      entry.resume();
    }
  } finally {
    tar.destroy();
  }
}

function normalise(name: string): string {
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  return `${name.startsWith("/") ? "/" : ""}${parts.join("/")}`;
}

/**
 * Why an entry must not be unpacked, or undefined. Refused are names that are absolute or contain "..", device nodes
 * and whatever else is neither file, folder nor link, and hard links to such names. Says nothing about symbolic links.
 */
export function checkEntry(entry: Pick<TarEntry, "name" | "type" | "target">): string | undefined {
  const nameFault = checkName(entry.name);
  if (nameFault !== undefined) return `the name of "${entry.name}" ${nameFault}`;
  switch (entry.type) {
    case "file":
    case "contiguous-file":
    case "directory":
    case "symlink":
      return undefined;
    case "link": {
      const targetFault = checkName(entry.target);
      return targetFault && `the hard link "${entry.name}" leads to "${entry.target}", which ${targetFault}`;
    }
    default:
      return `"${entry.name}" is neither file, folder nor link (${entry.type})`;
  }
}

function checkName(name: string): string | undefined {
  if (name.startsWith("/")) return "is absolute";
  if (name.split("/").includes("..")) return 'contains ".."';
  return undefined;
}
