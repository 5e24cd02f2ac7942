/** Checks of source tarballs before anything is unpacked. */
import type { Readable } from "node:stream";
import { Fault } from "../fault/fault.ts";
import { checkEntry, checkSymlink, tarEntries } from "../format/tar.ts";

/** Raised when the check comes to refuse more: what passed an older one is looked through again. */
export const ARCHIVE_CHECK = 2;

/**
 * Reads an uncompressed tar archive and refuses one that would write or point outside of the folder that it is
 * unpacked in: absolute names, "..", links that lead out, entries below a link, device nodes. A hard link
 * to a symbolic link is one more such link, at another place. Throws E_ARCHIVE, also
 * for an archive that is damaged, truncated or empty. `name` is what messages call it.
 */
export async function checkArchive(tar: Readable, name: string): Promise<void> {
  // with their targets
  const symlinks = new Map<string, string>();
  let entries = 0;
  try {
    for await (const entry of tarEntries(tar)) {
      entries++;
      const why =
        checkEntry(entry) ??
        checkBehindLink(entry.name, symlinks) ??
        (entry.type === "link" ? checkBehindLink(entry.target, symlinks) : undefined);
      if (why !== undefined) throw refused(name, why);
      const target = entry.type === "link" ? symlinks.get(entry.target) : entry.target;
      if (target === undefined || (entry.type !== "symlink" && entry.type !== "link")) continue;
      const whyNot = checkSymlink(entry.name, target);
      if (whyNot !== undefined) throw refused(name, whyNot);
      symlinks.set(entry.name, target);
    }
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault("E_ARCHIVE", `${name} is not a complete tar archive: ${(cause as Error).message}`, { cause });
  }
  if (entries === 0) throw new Fault("E_ARCHIVE", `${name} holds nothing`);
}

function checkBehindLink(name: string, symlinks: ReadonlyMap<string, string>): string | undefined {
  if (symlinks.size === 0) return undefined;
  for (let slash = name.indexOf("/"); slash !== -1; slash = name.indexOf("/", slash + 1)) {
    const parent = name.slice(0, slash);
    if (symlinks.has(parent)) return `"${name}" lies behind the link "${parent}"`;
  }
  return undefined;
}

function refused(name: string, why: string): Fault {
  return new Fault("E_ARCHIVE", `${name} is refused: ${why}`, {
    hint: "no upstream tarball looks like this: the file is not what its author published",
  });
}
