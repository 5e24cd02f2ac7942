/**
 * Outputs by key. An output is there when its record (`<key>.json`) is there: the record is written last, by rename.
 * A folder without a record is what a killed forge left behind and is removed by whoever builds that key next.
 */
import {
  chmodSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  lutimesSync,
  writeFileSync,
  type Stats,
} from "node:fs";
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";
import type { Digest, Key } from "../recipe/derivation.ts";
import { isAlive, lockHolder, ownerName, tryLock, type Lock } from "./lock.ts";
import type { Paths } from "./paths.ts";
import { hashFile, hashTree, walk } from "./tree.ts";

/** What is known of an output. */
export interface OutputRecord {
  readonly key: Key;
  readonly name: string;
  readonly version: string;
  readonly digest: Digest;
  readonly files: number;
  readonly bytes: number;
  /** Wall-clock seconds that making it took. */
  readonly seconds: number;
  readonly proofs: readonly { readonly proof: string; readonly detail: string }[];
  /** Keys and source hashes that it was made from, for `anvil why` and `anvil gc`. */
  readonly references: readonly string[];
}

/** Characters of the key in the name of an output's folder. */
const KEY_PREFIX = 32;

export class Store {
  readonly paths: Paths;

  private constructor(paths: Paths) {
    this.paths = paths;
  }

  /** Makes the folders. Throws E_READ_ONLY when the cache folder cannot be written. */
  static open(paths: Paths): Store {
    try {
      for (const folder of [paths.sources, paths.outputs, paths.tmp, paths.locks, paths.logs]) {
        mkdirSync(folder, { recursive: true });
      }
      const probe = mkdtempSync(path.join(paths.tmp, "probe-"));
      // another forge may take it for something abandoned and be faster
      rmSync(probe, { recursive: true, force: true });
    } catch (error) {
      throw writeFault(error, paths.top);
    }
    return new Store(paths);
  }

  record(key: Key): OutputRecord | undefined {
    try {
      return JSON.parse(readFileSync(this.recordFile(key), "utf8")) as OutputRecord;
    } catch (error) {
      if (errno(error) === "ENOENT" || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  has(key: Key): boolean {
    return this.record(key) !== undefined;
  }

  /** The folder of an output that is there. */
  outputPath(key: Key): string {
    const record = this.record(key);
    if (record === undefined) throw new Error(`no output ${key}`);
    return this.folder(key, record.name);
  }

  sourcePath(sha256: Digest): string {
    return path.join(this.paths.sources, sha256);
  }

  hasSource(sha256: Digest): boolean {
    return existsSync(this.sourcePath(sha256));
  }

  lock(key: string): Lock | { readonly heldBy: string } {
    return tryLock(this.paths.locks, key);
  }

  /** The living process that has the lock of a key, if one has. */
  lockHolder(key: string): string | undefined {
    return lockHolder(this.paths.locks, key);
  }

  /** A private folder for work in progress; `abandoned` lists it once this process is gone. */
  workFolder(name: string): string {
    return mkdtempSync(path.join(this.paths.tmp, `${ownerName()}.${name}-`));
  }

  /** Work folders, and drafts of locks, of processes that are gone. */
  abandoned(): string[] {
    const { tmp, locks } = this.paths;
    const owned = [
      ...readdirSync(tmp).map((name) => ({ file: path.join(tmp, name), owner: name.split(".").slice(0, 3) })),
      ...readdirSync(locks).map((name) => ({ file: path.join(locks, name), owner: name.split(".").slice(1) })),
    ];
    // a lock itself names no owner in its file's name
    return owned.filter(({ owner }) => owner.length > 0 && !isAlive(owner.join("."))).map(({ file }) => file);
  }

  /**
   * Moves a finished, proven tree into the store and writes its record. The caller holds the lock of the key.
   * @param tree a folder on the store's file system; it is gone afterwards
   */
  async add(tree: string, facts: Omit<OutputRecord, "digest" | "files" | "bytes">): Promise<OutputRecord> {
    const target = this.folder(facts.key, facts.name);
    const draft = path.join(this.paths.tmp, `${ownerName()}.${facts.key}.json`);
    try {
      removeTree(target);
      makeReadOnly(tree);
      const record: OutputRecord = { ...facts, ...(await hashTree(tree)) };
      writeFileSync(draft, `${JSON.stringify(record, null, 1)}\n`);
      // only now: a folder that may not be written cannot be moved by its owner
      renameSync(tree, target);
      chmodSync(target, 0o555);
      utimesSync(target, FIXED_TIME, FIXED_TIME);
      renameSync(draft, this.recordFile(facts.key));
      return record;
    } catch (error) {
      removeTree(target);
      rmSync(draft, { force: true });
      throw writeFault(error, this.paths.top);
    }
  }

  /** True when the output's bytes are what its record says. Reads all of it. */
  async isSound(key: Key): Promise<boolean> {
    const record = this.record(key);
    if (record === undefined) return false;
    const folder = this.folder(key, record.name);
    return existsSync(folder) && (await hashTree(folder)).digest === record.digest;
  }

  /** True when a downloaded file is what its name says. */
  isSourceSound(sha256: Digest): boolean {
    return this.hasSource(sha256) && hashFile(this.sourcePath(sha256)) === sha256;
  }

  /** Forgets an output: its record first, so that a half-deleted folder is never taken for an output. */
  remove(key: Key): void {
    const record = this.record(key);
    rmSync(this.recordFile(key), { force: true });
    if (record !== undefined) removeTree(this.folder(key, record.name));
  }

  removeSource(sha256: Digest): void {
    rmSync(this.sourcePath(sha256), { force: true });
  }

  /** Every output that is there. */
  records(): OutputRecord[] {
    return readdirSync(this.paths.outputs)
      .filter((name) => /^[0-9a-f]{64}\.json$/.test(name))
      .sort()
      .map((name) => this.record(name.slice(0, 64) as Key))
      .filter((record) => record !== undefined);
  }

  /** Folders of outputs that no record accounts for and nobody is about to write one for: left by a kill. */
  strays(): string[] {
    // in this order: what is finished meanwhile has its lock until it has its record
    const folders = readdirSync(this.paths.outputs, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    const locked = readdirSync(this.paths.locks).filter((key) => this.lockHolder(key) !== undefined);
    const known = new Set(this.records().map((record) => path.basename(this.folder(record.key, record.name))));
    return folders
      .map(({ name }) => name)
      .filter((name) => !known.has(name) && !locked.some((key) => key.startsWith(name.slice(0, KEY_PREFIX))))
      .map((name) => path.join(this.paths.outputs, name));
  }

  private folder(key: Key, name: string): string {
    return path.join(this.paths.outputs, `${key.slice(0, KEY_PREFIX)}-${name}`);
  }

  private recordFile(key: Key): string {
    return path.join(this.paths.outputs, `${key}.json`);
  }
}

/** The fault for a failed write below the cache folder; other errors are passed through. */
export function writeFault(error: unknown, where: string): unknown {
  switch (errno(error)) {
    case "ENOSPC":
    case "EDQUOT":
      return new Fault("E_DISK_FULL", `no space left for ${where}`, {
        hint: "free some space (a cold forge needs about 12 GB), or run `anvil gc`; nothing half-written was kept",
        cause: error,
      });
    case "EROFS":
    case "EACCES":
    case "EPERM":
    case "ENOTDIR":
      return new Fault("E_READ_ONLY", `cannot write to the cache folder ${where}`, {
        details: [(error as Error).message],
        hint: "make it writable, or choose another with ANVIL_CACHE=<folder>",
        cause: error,
      });
    default:
      return error;
  }
}

/** 2000-01-01T00:00:00Z: after 1980, with which the times of zip archives begin. */
export const FIXED_TIME = 946_684_800;

/**
 * Also gives everything one time: a step that packs its inputs would otherwise tell when they were built. What a step made
 * under another user's id becomes this process's own.
 */
function makeReadOnly(top: string): void {
  takeBack(top, lstatSync(top));
  for (const { full, stat } of walk(top)) {
    takeBack(full, stat);
    if (!stat.isSymbolicLink()) {
      const mode = stat.isDirectory() || (stat.mode & 0o100) !== 0 ? 0o555 : 0o444;
      if ((stat.mode & 0o7777) !== mode) chmodSync(full, mode);
    }
    lutimesSync(full, FIXED_TIME, FIXED_TIME);
  }
}

function takeBack(file: string, { uid }: Stats): void {
  // only root's steps are somebody else
  if (process.getuid?.() === 0 && uid !== 0) lchownSync(file, 0, 0);
}

/** Deletes a tree whose folders may be read-only. Another process may be deleting it too. */
export function removeTree(top: string): void {
  if (lstatSync(top, { throwIfNoEntry: false })?.isDirectory() === true) unlock(top);
  rmSync(top, { recursive: true, force: true });
}

function unlock(folder: string): void {
  try {
    chmodSync(folder, 0o755);
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) unlock(path.join(folder, entry.name));
    }
  } catch (error) {
    if (errno(error) !== "ENOENT") throw error;
  }
}
