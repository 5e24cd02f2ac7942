/**
 * Unpacks Debian packages into a tree that serves as the root of a sandbox. No maintainer script runs and nothing is
 * configured; the few links that scripts would have made follow from a table.
 */
import {
  chmodSync,
  closeSync,
  createReadStream,
  fchmodSync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  rmSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { pipeline, type Readable, type Transform } from "node:stream";
import * as zlib from "node:zlib";
import { Fault } from "../fault/fault.ts";
import { findDebData, type Compression, type DebData } from "../format/deb.ts";
import { checkEntry, tarEntries, type TarEntry } from "../format/tar.ts";
import { unxz } from "../format/xz.ts";
import { diskFault } from "../host/disk.ts";

export interface UnpackOptions {
  /** Decompresses xz in place of the built-in decoder, for example by a native program. */
  readonly unxz?: (compressed: Readable) => Readable;
  /** Called after each package. */
  readonly onPackage?: (file: string, done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Absent before Node.js 22.15. */
const { createZstdDecompress } = zlib as { createZstdDecompress?: () => Transform };

/** /usr is merged (https://wiki.debian.org/UsrMerge): these lead into it and packages are unpacked through them. */
const merged = ["bin", "lib", "lib64", "sbin"];

/** What no build step reads; half of the bytes of some packages. */
const left = /^usr\/share\/(?:bug|doc|doc-base|info|lintian|locale|man)(?:\/|$)/;

/** Links that packages leave to update-alternatives: link, and what it leads to. */
const alternatives = [
  ["usr/bin/awk", "gawk"],
  ["usr/bin/nawk", "gawk"],
  ["usr/bin/c++", "g++"],
  ["usr/bin/c89", "c89-gcc"],
  ["usr/bin/c99", "c99-gcc"],
  ["usr/bin/cc", "gcc"],
  ["usr/bin/which", "which.debianutils"],
  ["usr/bin/yacc", "bison.yacc"],
] as const;

/**
 * Unpacks packages in the given order into the folder `to`, which is made. Files keep their permissions without setuid
 * and setgid and belong to the caller; symbolic links keep their targets, so absolute ones hold once the tree is "/".
 * A later package replaces a file of an earlier one. Throws E_ARCHIVE for a file that is not a sound package,
 * E_DISK_FULL and E_READ_ONLY.
 */
export async function unpackDebs(files: readonly string[], to: string, options: UnpackOptions = {}): Promise<void> {
  try {
    await unpackAll(files, to, options);
  } catch (cause) {
    throw diskFault(cause, path.join(to, "usr")) ?? cause;
  }
}

async function unpackAll(files: readonly string[], to: string, options: UnpackOptions): Promise<void> {
  const tree = new Tree(to);
  for (const name of merged) tree.symlink(name, `usr/${name}`);
  let done = 0;
  for (const file of files) {
    options.signal?.throwIfAborted();
    await unpackDeb(file, tree, options);
    options.onPackage?.(file, ++done, files.length);
  }
  for (const [link, target] of alternatives) {
    if (!tree.has(link) && tree.has(path.posix.join(path.posix.dirname(link), target))) tree.symlink(link, target);
  }
}

async function unpackDeb(file: string, tree: Tree, options: UnpackOptions): Promise<void> {
  try {
    const { compression, start, size } = locateData(file);
    const raw = createReadStream(file, { start, end: start + size - 1 });
    for await (const entry of tarEntries(decompress(raw, compression, options))) {
      const why = checkEntry(entry);
      if (why !== undefined) throw new Error(why);
      if (!left.test(entry.name)) await tree.add(entry);
    }
  } catch (cause) {
    // the disk's faults are told apart by the caller
    if (diskFault(cause, file) !== undefined) throw cause;
    throw new Fault("E_ARCHIVE", `${path.basename(file)} cannot be unpacked: ${(cause as Error).message}`, { cause });
  }
}

function locateData(file: string): DebData {
  const fd = openSync(file, "r");
  try {
    return findDebData({
      size: fstatSync(fd).size,
      read: (offset, length) => {
        const bytes = Buffer.alloc(length);
        readSync(fd, bytes, 0, length, offset);
        return bytes;
      },
    });
  } finally {
    closeSync(fd);
  }
}

function decompress(raw: Readable, compression: Compression, options: UnpackOptions): Readable {
  switch (compression) {
    case "none":
      return raw;
    case "gz":
      return through(raw, zlib.createGunzip());
    case "xz":
      return (options.unxz ?? unxz)(raw);
    case "zst":
      if (createZstdDecompress === undefined) throw new Error("zstd is known to Node.js from 22.15 on");
      return through(raw, createZstdDecompress());
  }
}

function through(input: Readable, transform: Transform): Readable {
  // an error destroys both ends and so reaches whoever reads the transform
  return pipeline(input, transform, () => {});
}

/** A folder that is filled as if it were "/": links in it never lead a write out of it. */
class Tree {
  /** Targets of the symbolic links by their place in the tree. */
  private readonly links = new Map<string, string>();
  private readonly folders = new Set<string>();

  constructor(private readonly top: string) {
    mkdirSync(top, { recursive: true });
  }

  has(name: string): boolean {
    return lstatSync(this.at(this.place(name)), { throwIfNoEntry: false }) !== undefined;
  }

  symlink(name: string, target: string): void {
    const place = this.place(name);
    this.replace(place, (at) => symlinkSync(target, at));
    this.links.set(place, target);
  }

  async add(entry: TarEntry): Promise<void> {
    if (entry.type === "symlink") return this.symlink(entry.name, entry.target);
    if (entry.type === "directory") return this.folder(this.resolve(entry.name));
    const place = this.place(entry.name);
    if (entry.type === "link") return this.link(place, this.place(entry.target));
    const file = this.replace(place, (at) => openSync(at, "wx"));
    try {
      fchmodSync(file, entry.mode & 0o777);
      for await (const chunk of entry.body) writeSync(file, chunk);
    } finally {
      closeSync(file);
    }
  }

  /** A hard link to a symbolic link leads where that one leads, from its own place: it is known as one, too. */
  private link(place: string, target: string): void {
    const leads = this.links.get(target);
    if (leads === undefined && !lstatSync(this.at(target), { throwIfNoEntry: false })?.isFile())
      throw new Error(`the hard link "${place}" leads to "${target}", which is no file`);
    if (place === target) return;
    this.replace(place, (at) => linkSync(this.at(target), at));
    if (leads !== undefined) this.links.set(place, leads);
  }

  /** Makes something at a place where a file or link of an earlier package may be. */
  private replace<T>(place: string, make: (at: string) => T): T {
    this.folder(path.posix.dirname(place));
    const at = this.at(place);
    if (this.links.has(place)) {
      rmSync(at);
      this.links.delete(place);
    }
    try {
      return make(at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      rmSync(at);
      return make(at);
    }
  }

  private folder(place: string): void {
    if (place === "." || this.folders.has(place)) return;
    this.folder(path.posix.dirname(place));
    const at = this.at(place);
    mkdirSync(at, { recursive: true });
    // whatever the umask is
    chmodSync(at, 0o755);
    this.folders.add(place);
  }

  private at(place: string): string {
    return path.join(this.top, place);
  }

  /** Where a name is once the links among its parents are followed; the last part is not. */
  private place(name: string): string {
    const parent = path.posix.dirname(name);
    return parent === "." ? name : path.posix.join(this.resolve(parent), path.posix.basename(name));
  }

  /** Where a name is once all links are followed as they would be with the tree as "/". "." is the tree itself. */
  private resolve(name: string): string {
    const todo = name.split("/").reverse();
    let place = ".";
    for (let hops = 0; ;) {
      const part = todo.pop();
      if (part === undefined) return place;
      if (part === "" || part === ".") continue;
      const next = path.posix.join(place, part);
      if (part === "..") {
        place = place === "." ? "." : path.posix.dirname(place);
        continue;
      }
      const target = this.links.get(next);
      if (target === undefined) {
        place = next;
        continue;
      }
      if (++hops > 40) throw new Error(`too many links on the way to "${name}"`);
      if (target.startsWith("/")) place = ".";
      todo.push(...target.split("/").reverse());
    }
  }
}
