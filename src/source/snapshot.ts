/**
 * A folder of this machine as a tar archive whose bytes follow from its content alone: names in the order of their UTF-16
 * code units, owner 0, permissions 644 or 755, one time for all. Links are kept as they are and never followed. What
 * belongs to a version control system is left out, at any depth.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  type BigIntStats,
} from "node:fs";
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";
import { TAR_END, tarHead, tarPadding } from "../format/tar-head.ts";

export interface SnapshotOptions {
  /** Name of the archive's top folder, and what messages call the source. */
  readonly name: string;
  /** Of every entry: seconds since 1970. */
  readonly time: number;
}

/** Names of files and folders that are not part of a source. */
const VERSION_CONTROL: ReadonlySet<string> = new Set([".git", ".hg", ".svn", ".bzr", ".jj"]);

const chunk = Buffer.allocUnsafe(1 << 20);

/**
 * The archive's bytes. Each piece is good until the next one is asked for. Throws E_LOCAL_SOURCE for a folder without a
 * file, for what is neither file, folder nor link, what may not be read and names that are not UTF-8; E_SOURCE_CHANGED for
 * what changes at this moment.
 */
export function* archiveOf(folder: string, { name, time }: SnapshotOptions): Generator<Buffer> {
  let files = 0;
  yield tarHead({ name, kind: "folder", time });
  for (const entry of entriesBelow(folder, "", name)) {
    const at = `${name}/${entry.path}`;
    if (entry.kind === "folder") yield tarHead({ name: at, kind: "folder", time });
    else files += 1;
    if (entry.kind === "link") yield tarHead({ name: at, kind: "link", target: targetOf(entry, name), time });
    if (entry.kind === "file") yield* fileOf(entry, name, (head) => tarHead({ name: at, kind: "file", ...head, time }));
  }
  if (files === 0) throw refused(name, `${folder} holds no file`);
  yield TAR_END;
}

interface Entry {
  readonly path: string;
  readonly full: string;
  readonly kind: "file" | "folder" | "link";
}

function* entriesBelow(folder: string, below: string, name: string): Generator<Entry> {
  const names = read(below, name, () => readdirSync(path.join(folder, below)));
  for (const each of names.sort((a, b) => (a < b ? -1 : 1))) {
    if (VERSION_CONTROL.has(each)) continue;
    const relative = below === "" ? each : `${below}/${each}`;
    const full = path.join(folder, relative);
    const stat = read(relative, name, () => lstatSync(full));
    const kind = stat.isFile() ? "file" : stat.isDirectory() ? "folder" : stat.isSymbolicLink() ? "link" : undefined;
    if (kind === undefined) throw refused(name, `${printed(relative)} is neither file, folder nor link`);
    yield { path: relative, full, kind };
    if (kind === "folder") yield* entriesBelow(folder, relative, name);
  }
}

function targetOf({ path: relative, full }: Entry, name: string): string {
  const bytes = read(relative, name, () => readlinkSync(full, "buffer"));
  const text = bytes.toString("utf8");
  if (Buffer.from(text).equals(bytes)) return text;
  throw refused(name, `the target of the link ${printed(relative)} is not UTF-8`);
}

type Head = { readonly executable: boolean; readonly size: number };

function* fileOf({ path: relative, full }: Entry, name: string, headOf: (head: Head) => Buffer): Generator<Buffer> {
  // what took the file's place meanwhile is neither followed nor waited for
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const fd = read(relative, name, () => openSync(full, flags));
  try {
    const before = fstatSync(fd, { bigint: true });
    if (!before.isFile()) throw changed(name, relative);
    const size = Number(before.size);
    yield headOf({ executable: (before.mode & 0o100n) !== 0n, size });
    let left = size;
    while (left > 0) {
      const length = read(relative, name, () => readSync(fd, chunk, 0, Math.min(left, chunk.length), null));
      if (length === 0) throw changed(name, relative);
      left -= length;
      yield chunk.subarray(0, length);
    }
    if (!isSame(before, fstatSync(fd, { bigint: true }))) throw changed(name, relative);
    yield tarPadding(size);
  } finally {
    closeSync(fd);
  }
}

const isSame = (a: BigIntStats, b: BigIntStats): boolean =>
  a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;

/** A failure names what could not be read. */
function read<T>(relative: string, name: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const at = relative === "" ? "the folder itself" : printed(relative);
    switch (errno(error)) {
      case "EACCES":
      case "EPERM":
        throw refused(name, `${at} may not be read`);
      case "ENOENT":
      case "ENOTDIR":
      case "ELOOP":
      case "ENXIO":
        // bytes that are not UTF-8 arrive as U+FFFD, and such a name leads to no file
        if (relative.includes("\ufffd")) throw refused(name, `the name ${at} is not UTF-8`);
        throw changed(name, relative);
      default:
        throw refused(name, `${at} cannot be read: ${(error as Error).message}`);
    }
  }
}

const printed = (name: string): string => JSON.stringify(name);

/** A source of this machine that cannot be taken. */
export function refused(name: string, why: string): Fault {
  return new Fault("E_LOCAL_SOURCE", `the source of ${name} cannot be taken: ${why}`, {
    hint: "--source <component>=<folder or archive>: a folder of files, folders and links, or an archive that tar reads",
  });
}

/** What is being written to cannot be taken. */
export function changed(name: string, relative = ""): Fault {
  const what = relative === "" ? `the source of ${name}` : `${printed(relative)} in the source of ${name}`;
  return new Fault("E_SOURCE_CHANGED", `${what} was changed while it was read`, {
    hint: "start again when nothing writes there: a build in the tree, an editor, a checkout",
  });
}
