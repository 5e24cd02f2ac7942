/** An initramfs archive of a folder. */
import { createReadStream, createWriteStream } from "node:fs";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { Fault } from "../fault/fault.ts";
import { encodeCpio, type CpioEntry } from "../format/cpio.ts";
import { readTree, type TreeEntry } from "./tree.ts";

/** Writes the archive of `cpioOfTree` into a new file; a file that is there already is an error (EEXIST). */
export async function writeCpio(dir: string, file: string, epoch: number): Promise<void> {
  await pipeline(cpioOfTree(dir, epoch), createWriteStream(file, { flags: "wx" }));
}

/**
 * The bytes of a newc archive with all that is below `dir`, owned by root, every time stamp `epoch` (seconds since
 * 1970), permissions as they are on disk. Adds the nodes that the kernel opens before init has mounted anything,
 * `dev/console` and `dev/null`, which an unprivileged build cannot create, and `extra`. Files are read one after the
 * other while the archive is consumed; nothing is held in memory.
 * Throws E_CPIO_CONFLICT for an entry that the folder has already, E_CPIO_FILE_TYPE for what an initramfs cannot hold.
 */
export async function* cpioOfTree(
  dir: string,
  epoch: number,
  extra: readonly CpioEntry[] = [],
): AsyncGenerator<Uint8Array, void, undefined> {
  const entries = new Map<string, CpioEntry>();
  const tree = readTree(dir);
  for (const entry of tree.entries.values()) entries.set(entry.path, entryOf(dir, entry, epoch));
  if (!entries.has("dev")) entries.set("dev", { kind: "folder", path: "dev", mode: 0o755, mtime: epoch });
  for (const entry of [...deviceNodes(epoch), ...extra]) {
    if (entries.has(entry.path)) {
      throw new Fault("E_CPIO_CONFLICT", `${entry.path} is added to the archive, but the tree has it already`, {
        details: [`tree: ${dir}`],
        hint: `leave ${entry.path} out of the tree`,
      });
    }
    entries.set(entry.path, entry);
  }
  yield* encodeCpio(entries.values());
}

function deviceNodes(mtime: number): CpioEntry[] {
  return [
    { kind: "character-device", path: "dev/console", mode: 0o600, mtime, major: 5, minor: 1 },
    { kind: "character-device", path: "dev/null", mode: 0o666, mtime, major: 1, minor: 3 },
  ];
}

function entryOf(dir: string, { path: name, kind, mode, size, target }: TreeEntry, mtime: number): CpioEntry {
  const common = { path: name, mode, mtime };
  switch (kind) {
    case "folder":
      return { kind, ...common };
    case "file":
      return { kind, ...common, size, data: () => createReadStream(path.join(dir, name)) };
    case "link":
      // the permissions of a link mean nothing and differ by file system
      return { kind, ...common, mode: 0o777, target };
    case "other":
      throw new Fault("E_CPIO_FILE_TYPE", `${name} is neither a file, a folder nor a link`, {
        details: [`tree: ${dir}`],
        hint: "sockets and pipes are made at run time, device nodes by devtmpfs",
      });
  }
}
