/**
 * Outputs by key, in one folder. An output is there when its record (`<key>.json`) is there: the record is written last, by
 * rename. A folder without a record is what a killed forge left behind and is removed by whoever builds that key next.
 */
import { chmodSync, existsSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";
import { removeTree } from "../host/remove-tree.ts";
import type { Digest, Key } from "../recipe/derivation.ts";
import { FIXED_TIME, makeReadOnly } from "./finish.ts";
import type { Paths } from "./paths.ts";
import { FORMAT, readRecord, recordText, type Facts, type Origin, type OutputRecord } from "./record.ts";
import type { Outputs } from "./store.ts";
import { hashTreeAs, LAYOUT, type Layout } from "./tree.ts";
import { writeFault } from "./write-fault.ts";

/** Characters of the key in the name of an output's folder. */
const KEY_PREFIX = 32;

export interface DiskOutputsOptions {
  readonly paths: Paths;
  /** Names of ingots: what was made elsewhere for them is there, too. */
  readonly accepted: ReadonlySet<string>;
  /** Name of this process in names of drafts. */
  readonly self: () => string;
  readonly isLocked: (key: string) => Promise<boolean>;
}

export class DiskOutputs implements Outputs {
  readonly #options: DiskOutputsOptions;
  readonly #folder: string;
  readonly #touched = new Set<Key>();

  constructor(options: DiskOutputsOptions) {
    this.#options = options;
    this.#folder = options.paths.outputs;
  }

  has(key: Key): boolean {
    return this.record(key) !== undefined;
  }

  record(key: Key): OutputRecord | undefined {
    const own = this.sandboxed(key);
    const { accepted } = this.#options;
    if (own !== undefined || accepted.size === 0) return own;
    return this.elsewhere(key).find(({ origin }) => origin?.for.every((name) => accepted.has(name)));
  }

  sandboxed(key: Key): OutputRecord | undefined {
    return readRecord(this.#recordFile({ key }));
  }

  elsewhere(key: Key): OutputRecord[] {
    return this.#read((name) => name.startsWith(`${key}.`) && name !== `${key}.json` && name.endsWith(".json"));
  }

  records(): OutputRecord[] {
    return this.#read((name) => /^[0-9a-f]{64}\.(?:[a-z0-9+-]+\.)?json$/.test(name));
  }

  #read(isRecord: (name: string) => boolean): OutputRecord[] {
    return readdirSync(this.#folder)
      .filter(isRecord)
      .sort()
      .map((name) => readRecord(path.join(this.#folder, name)))
      .filter((record) => record !== undefined);
  }

  path(key: Key): string {
    const record = this.record(key);
    if (record === undefined) throw new Error(`no output ${key}`);
    if (!this.#touched.has(key)) this.touch(key);
    return this.folder(record);
  }

  folder({ key, name, origin }: Pick<OutputRecord, "key" | "name" | "origin">): string {
    return path.join(this.#folder, `${key.slice(0, KEY_PREFIX)}${mark(origin)}-${name}`);
  }

  async add(tree: string, facts: Facts): Promise<OutputRecord> {
    const target = this.folder(facts);
    const draft = this.#draft(facts.key);
    try {
      removeTree(target);
      makeReadOnly(tree);
      const { digests, ...sizes } = await hashTreeAs(tree, [LAYOUT]);
      const digest = digests[0] as Digest;
      const record: OutputRecord = { format: FORMAT, ...facts, digest, layout: LAYOUT, ...sizes };
      writeFileSync(draft, recordText(record));
      // only now: a folder that may not be written cannot be moved by its owner
      renameSync(tree, target);
      chmodSync(target, 0o555);
      utimesSync(target, FIXED_TIME, FIXED_TIME);
      renameSync(draft, this.#recordFile(facts));
      return record;
    } catch (error) {
      removeTree(target);
      rmSync(draft, { force: true });
      throw writeFault(error, this.#options.paths.top);
    }
  }

  remove(key: Key): void {
    const record = this.record(key);
    if (record === undefined) rmSync(this.#recordFile({ key }), { force: true });
    else this.removeRecord(record);
  }

  removeRecord(record: OutputRecord): void {
    rmSync(this.#recordFile(record), { force: true });
    removeTree(this.folder(record));
  }

  async isSound(key: Key): Promise<boolean> {
    const record = this.record(key);
    return record !== undefined && (await this.#digests(record, [layoutOf(record)]))?.[0] === record.digest;
  }

  async digest(key: Key): Promise<Digest | undefined> {
    const record = this.record(key);
    if (record === undefined || layoutOf(record) === LAYOUT) return record?.digest;
    return (await this.#digests(record, [LAYOUT]))?.[0];
  }

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
    const draft = this.#draft(record.key);
    const used = new Date(this.lastUse(record));
    writeFileSync(draft, recordText(record));
    utimesSync(draft, used, used);
    renameSync(draft, this.#recordFile(record));
  }

  /** The time of the record's file says when its output was made or last used. */
  touch(key: Key): void {
    this.#touched.add(key);
    const record = this.record(key);
    if (record === undefined) return;
    const now = new Date();
    try {
      utimesSync(this.#recordFile(record), now, now);
    } catch (error) {
      // another user's record, or one that just went: who used it when is no more than a hint
      if (!["ENOENT", "EPERM", "EACCES", "EROFS"].includes(errno(error) ?? "")) throw error;
    }
  }

  lastUse(record: OutputRecord): number {
    return statSync(this.#recordFile(record), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  }

  async strays(): Promise<string[]> {
    const { paths, isLocked } = this.#options;
    // in this order: what is finished meanwhile has its lock until it has its record
    const folders = readdirSync(this.#folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    const locked: string[] = [];
    for (const key of readdirSync(paths.locks)) if (await isLocked(key)) locked.push(key);
    const known = new Set(this.records().map((record) => path.basename(this.folder(record))));
    return folders
      .map(({ name }) => name)
      .filter((name) => !known.has(name) && !locked.some((key) => key.startsWith(name.slice(0, KEY_PREFIX))))
      .map((name) => path.join(this.#folder, name));
  }

  #recordFile({ key, origin }: Pick<OutputRecord, "key" | "origin">): string {
    return path.join(this.#folder, `${key}${mark(origin)}.json`);
  }

  #draft(key: Key): string {
    return path.join(this.#options.paths.tmp, `${this.#options.self()}.${key}.json`);
  }
}

/** What tells files of outputs of other places from those of the sandbox. */
const mark = (origin: Origin | undefined): string => (origin === undefined ? "" : `.${origin.for.join("+")}`);

const layoutOf = ({ layout }: OutputRecord): Layout => layout ?? 1;
