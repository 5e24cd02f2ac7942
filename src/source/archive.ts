/** Checks of source tarballs before anything is unpacked. */
import type { Readable } from "node:stream";
import { Fault } from "../fault/fault.ts";
import { checkEntry, tarEntries, type TarEntry } from "../format/tar.ts";

/** Raised when the check comes to refuse more: what passed an older one is looked through again. */
export const ARCHIVE_CHECK = 2;

/**
 * Reads an uncompressed tar archive and refuses one that would write outside of the folder that it is unpacked in:
 * absolute names, "..", entries and hard links behind a link of the same archive, device nodes. Throws E_ARCHIVE, also for
 * an archive that is damaged, truncated or empty. `name` is what messages call it.
 *
 * A symbolic link may lead anywhere: authors publish links to places of their own machines (`INSTALL` of libtirpc leads
 * to `/usr/share/automake-1.16`). Nothing is unpacked through it, and what it leads to is looked up in the sandbox of a
 * step, where there is nothing to be reached.
 */
export async function checkArchive(tar: Readable, name: string): Promise<void> {
  const symlinks = new Set<string>();
  let entries = 0;
  try {
    for await (const entry of tarEntries(tar)) {
      entries++;
      const why =
        checkEntry(entry) ??
        checkBehindLink(entry.name, symlinks) ??
        (entry.type === "link" ? checkBehindLink(entry.target, symlinks) : undefined) ??
        (entry.type === "symlink" && entry.target === "" ? `the link "${entry.name}" leads nowhere` : undefined);
      if (why !== undefined) throw refused(name, why);
      if (isLink(entry, symlinks)) symlinks.add(entry.name);
    }
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault("E_ARCHIVE", `${name} is not a complete tar archive: ${(cause as Error).message}`, { cause });
  }
  if (entries === 0) throw new Fault("E_ARCHIVE", `${name} holds nothing`);
}

/** A hard link to a symbolic link is one, too. */
function isLink({ type, target }: TarEntry, symlinks: ReadonlySet<string>): boolean {
  return type === "symlink" || (type === "link" && symlinks.has(target));
}

function checkBehindLink(name: string, symlinks: ReadonlySet<string>): string | undefined {
  if (symlinks.size === 0) return undefined;
  for (let slash = name.indexOf("/"); slash !== -1; slash = name.indexOf("/", slash + 1)) {
    const parent = name.slice(0, slash);
    if (symlinks.has(parent)) return `"${name}" lies behind the link "${parent}"`;
  }
  return undefined;
}

function refused(name: string, why: string): Fault {
  return new Fault("E_ARCHIVE", `${name} is refused: ${why}`, {
    hint: "an author's archive does not look like this; if it is the one that was published, the check is too strict",
  });
}
