/**
 * Outputs by key. An output is there when its record (`<key>.json`) is there: the record is written last, by rename.
 * A folder without a record is what a killed forge left behind and is removed by whoever builds that key next.
 */
import {
  chmodSync,
  existsSync,
  lchownSync,
  lstatSync,
  statSync,
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
import { fileSystemOf } from "../host/file-system.ts";
import { makeFolder } from "../host/make-folder.ts";
import { ownerIn, Owners } from "../host/owner.ts";
import { Locks, type Held, type Lock } from "./lock.ts";
import type { Paths } from "./paths.ts";
import { hashFile, hashTreeAs, LAYOUT, walk, type Layout } from "./tree.ts";

/** Where an output comes from that was not made in the sandbox, and what alone it is good for. */
export interface Origin {
  /** "the Monolith". */
  readonly place: string;
  /** Names of the ingots for which it was made, all of which must be accepted by who wants to use it. */
  readonly for: readonly string[];
}

/** What is known of an output. */
export interface OutputRecord {
  readonly key: Key;
  readonly name: string;
  readonly version: string;
  readonly digest: Digest;
  /** Of the listing that the digest is of; absent in records of the first one. */
  readonly layout?: Layout;
  /** Absent for what the sandbox made of inputs that it made. */
  readonly origin?: Origin;
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
  readonly owners: Owners;
  readonly #locks: Locks;
  readonly #accepted: ReadonlySet<string>;

  private constructor(paths: Paths, accepted: ReadonlySet<string> = new Set()) {
    this.paths = paths;
    this.owners = new Owners(paths.alive);
    this.#locks = new Locks(paths.locks, this.owners);
    this.#accepted = accepted;
  }

  /** Makes the folders. Throws E_READ_ONLY when the cache folder cannot be written. */
  static open(paths: Paths): Store {
    try {
      for (const folder of [paths.sources, paths.outputs, paths.tmp, paths.locks, paths.logs]) {
        // whatever the umask is, nobody else writes here
        makeFolder(folder, 0o755);
      }
      // what steps print, and addresses of mirrors, which may hold passwords; a folder of another user is that one's to close
      const { mode, uid } = statSync(paths.logs);
      if ((mode & 0o077) !== 0 && uid === process.getuid?.()) chmodSync(paths.logs, 0o700);
      const probe = mkdtempSync(path.join(paths.tmp, "probe-"));
      // another forge may take it for something abandoned and be faster
      rmSync(probe, { recursive: true, force: true });
    } catch (error) {
      // no folder can be made in some file systems of the kernel
      throw errno(error) === "ENOENT" ? readOnly(error, paths.top) : writeFault(error, paths.top);
    }
    return new Store(paths);
  }

  /**
   * The same store for somebody who also takes what another place than the sandbox made for these ingots. For everybody
   * else it is not there.
   */
  accepting(ingots: Iterable<string>): Store {
    return new Store(this.paths, new Set([...this.#accepted, ...ingots]));
  }

  /** Of what the sandbox made, alone. */
  sandboxed(key: Key): OutputRecord | undefined {
    return this.#read(`${key}.json`);
  }

  /** What the sandbox made comes first. */
  record(key: Key): OutputRecord | undefined {
    const own = this.sandboxed(key);
    if (own !== undefined || this.#accepted.size === 0) return own;
    return this.elsewhere(key).find(({ origin }) => origin?.for.every((name) => this.#accepted.has(name)));
  }

  /** What other places made of this derivation, whoever may use it. */
  elsewhere(key: Key): OutputRecord[] {
    return readdirSync(this.paths.outputs)
      .filter((name) => name.startsWith(`${key}.`) && name !== `${key}.json` && name.endsWith(".json"))
      .sort()
      .map((name) => this.#read(name))
      .filter((record) => record !== undefined);
  }

  #read(name: string): OutputRecord | undefined {
    try {
      return JSON.parse(readFileSync(path.join(this.paths.outputs, name), "utf8")) as OutputRecord;
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
    return this.folder(record);
  }

  sourcePath(sha256: Digest): string {
    return path.join(this.paths.sources, sha256);
  }

  hasSource(sha256: Digest): boolean {
    return existsSync(this.sourcePath(sha256));
  }

  lock(key: string): Promise<Lock | Held> {
    return this.#locks.take(key);
  }

  /** The living process that has the lock of a key, if one has. */
  lockHolder(key: string): Promise<string | undefined> {
    return this.#locks.holder(key);
  }

  /** A private folder for work in progress; `abandoned` lists it once this process is gone. */
  workFolder(name: string): string {
    return mkdtempSync(path.join(this.paths.tmp, `${this.owners.self()}.${name}-`));
  }

  /** Work folders, drafts of locks, and sockets of processes that are gone. */
  async abandoned(): Promise<string[]> {
    const { tmp, locks, alive } = this.paths;
    const owned = [
      ...readdirSync(tmp).map((name) => ({ file: path.join(tmp, name), owner: ownerIn(name) ?? "" })),
      // a lock itself names no owner in its file's name
      ...readdirSync(locks)
        .filter((name) => name.includes("."))
        .map((name) => ({ file: path.join(locks, name), owner: name.slice(name.indexOf(".") + 1) })),
      ...(existsSync(alive) ? readdirSync(alive) : []).map((name) => ({
        file: path.join(alive, name),
        owner: name.replace(/^new\./, ""),
      })),
    ];
    const gone: string[] = [];
    const known = new Map<string, boolean>();
    for (const { file, owner } of owned) {
      if (!known.has(owner)) known.set(owner, await this.owners.isAlive(owner));
      if (known.get(owner) === false) gone.push(file);
    }
    return gone;
  }

  /**
   * Moves a finished, proven tree into the store and writes its record. The caller holds the lock of the key. What has
   * an origin stands beside what the sandbox makes of the same derivation, and never in its place.
   * @param tree a folder on the store's file system; it is gone afterwards
   */
  async add(tree: string, facts: Omit<OutputRecord, "digest" | "layout" | "files" | "bytes">): Promise<OutputRecord> {
    const target = this.folder(facts);
    const draft = path.join(this.paths.tmp, `${this.owners.self()}.${facts.key}.json`);
    try {
      removeTree(target);
      makeReadOnly(tree);
      const { digests, ...sizes } = await hashTreeAs(tree, [LAYOUT]);
      const record: OutputRecord = { ...facts, digest: digests[0] as Digest, layout: LAYOUT, ...sizes };
      writeFileSync(draft, `${JSON.stringify(record, null, 1)}\n`);
      // only now: a folder that may not be written cannot be moved by its owner
      renameSync(tree, target);
      chmodSync(target, 0o555);
      utimesSync(target, FIXED_TIME, FIXED_TIME);
      renameSync(draft, this.recordFile(facts));
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
    return record !== undefined && (await this.#digests(record, [layoutOf(record)]))?.[0] === record.digest;
  }

  /** The digest by today's listing of an output that is there, whenever its record was written: for comparisons. */
  async digest(key: Key): Promise<Digest | undefined> {
    const record = this.record(key);
    if (record === undefined || layoutOf(record) === LAYOUT) return record?.digest;
    return (await this.#digests(record, [LAYOUT]))?.[0];
  }

  /**
   * As `isSound`, of any record. With `update` one whose digest is of an older listing is written anew, once its bytes are
   * what that digest says: nothing is built again.
   */
  async check(record: OutputRecord, { update }: { readonly update: boolean }): Promise<boolean> {
    const [digest, now] = (await this.#digests(record, [layoutOf(record), LAYOUT])) ?? [];
    if (digest !== record.digest || now === undefined) return false;
    if (update && layoutOf(record) !== LAYOUT) this.#replaceRecord({ ...record, digest: now, layout: LAYOUT });
    return true;
  }

  /** Undefined when the tree is not there, or holds what no output can. */
  async #digests(record: OutputRecord, layouts: readonly Layout[]): Promise<readonly Digest[] | undefined> {
    const folder = this.folder(record);
    if (!existsSync(folder)) return undefined;
    try {
      return (await hashTreeAs(folder, layouts)).digests;
    } catch (error) {
      // a name that is not UTF-8 leads to no file
      if (error instanceof Fault || errno(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  #replaceRecord(record: OutputRecord): void {
    const draft = path.join(this.paths.tmp, `${this.owners.self()}.${record.key}.json`);
    writeFileSync(draft, `${JSON.stringify(record, null, 1)}\n`);
    renameSync(draft, this.recordFile(record));
  }

  /** True when a downloaded file is what its name says. */
  isSourceSound(sha256: Digest): boolean {
    return this.hasSource(sha256) && hashFile(this.sourcePath(sha256)) === sha256;
  }

  /** Forgets an output: its record first, so that a half-deleted folder is never taken for an output. */
  remove(key: Key): void {
    const record = this.record(key);
    if (record === undefined) rmSync(this.recordFile({ key }), { force: true });
    else this.removeRecord(record);
  }

  removeRecord(record: OutputRecord): void {
    rmSync(this.recordFile(record), { force: true });
    removeTree(this.folder(record));
  }

  removeSource(sha256: Digest): void {
    rmSync(this.sourcePath(sha256), { force: true });
    rmSync(`${this.sourcePath(sha256)}.checked`, { force: true });
  }

  /** Every output that is there, wherever it was made. */
  records(): OutputRecord[] {
    return readdirSync(this.paths.outputs)
      .filter((name) => /^[0-9a-f]{64}\.(?:[a-z0-9+-]+\.)?json$/.test(name))
      .sort()
      .map((name) => this.#read(name))
      .filter((record) => record !== undefined);
  }

  /** Folders of outputs that no record accounts for and nobody is about to write one for: left by a kill. */
  async strays(): Promise<string[]> {
    // in this order: what is finished meanwhile has its lock until it has its record
    const folders = readdirSync(this.paths.outputs, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    const locked: string[] = [];
    for (const key of readdirSync(this.paths.locks)) if ((await this.lockHolder(key)) !== undefined) locked.push(key);
    const known = new Set(this.records().map((record) => path.basename(this.folder(record))));
    return folders
      .map(({ name }) => name)
      .filter((name) => !known.has(name) && !locked.some((key) => key.startsWith(name.slice(0, KEY_PREFIX))))
      .map((name) => path.join(this.paths.outputs, name));
  }

  private folder({ key, name, origin }: Pick<OutputRecord, "key" | "name" | "origin">): string {
    return path.join(this.paths.outputs, `${key.slice(0, KEY_PREFIX)}${mark(origin)}-${name}`);
  }

  private recordFile({ key, origin }: Pick<OutputRecord, "key" | "origin">): string {
    return path.join(this.paths.outputs, `${key}${mark(origin)}.json`);
  }
}

/** What tells files of outputs of other places from those of the sandbox. */
const mark = (origin: Origin | undefined): string => (origin === undefined ? "" : `.${origin.for.join("+")}`);

const layoutOf = ({ layout }: OutputRecord): Layout => layout ?? 1;

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
      return readOnly(error, where);
    default:
      return error;
  }
}

function readOnly(error: unknown, where: string): Fault {
  return new Fault("E_READ_ONLY", `cannot write to the cache folder ${where}`, {
    details: [(error as Error).message, ...networkFacts(where)],
    hint: "make it writable, or choose another with ANVIL_CACHE=<folder>",
    cause: error,
  });
}

/** A server may refuse root what it lets others do. */
function networkFacts(where: string): string[] {
  const found = fileSystemOf(where);
  return found?.network === true ? [`it is on a network file system, ${found.type} at ${found.mountPoint}`] : [];
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
