/**
 * What a forge needs of a store: outputs by key, downloads by hash, work folders, locks between processes. DiskStore
 * (src/store/disk-store.ts) is the one on this machine.
 */
import type { Owners } from "../host/owner.ts";
import type { Digest, Key } from "../recipe/derivation.ts";
import type { Held, Lock } from "./lock.ts";
import type { Paths } from "./paths.ts";
import type { Facts, OutputRecord } from "./record.ts";
import type { Uses } from "./uses.ts";

export interface Store {
  readonly paths: Paths;
  readonly owners: Owners;
  readonly outputs: Outputs;
  readonly sources: Sources;
  /** What living processes work with, and nobody removes. */
  readonly uses: Uses;

  /**
   * The same store for somebody who also takes what another place than the sandbox made for these ingots. For everybody
   * else it is not there.
   */
  accepting(ingots: Iterable<string>): Store;

  lock(key: string): Promise<Lock | Held>;
  /** The living process that has the lock of a key, if one has. */
  lockHolder(key: string): Promise<string | undefined>;

  /** A private folder for work in progress; `abandoned` lists it once this process is gone. */
  workFolder(name: string): string;
  /** Work folders, drafts of locks, sockets and lists of uses of processes that are gone. */
  abandoned(): Promise<string[]>;
}

export interface Outputs {
  has(key: Key): boolean;
  /** What the sandbox made comes first. */
  record(key: Key): OutputRecord | undefined;
  /** Of what the sandbox made, alone. */
  sandboxed(key: Key): OutputRecord | undefined;
  /** What other places made of this derivation, whoever may use it. */
  elsewhere(key: Key): OutputRecord[];
  /** Every output that is there, wherever it was made. */
  records(): OutputRecord[];
  /** The folder of an output that is there. Who asks for it uses the output: it is the one that was used last. */
  path(key: Key): string;
  /** The same for somebody who only looks. */
  folder(record: OutputRecord): string;

  /**
   * Moves a finished, proven tree into the store and writes its record. The caller holds the lock of the key. What has
   * an origin stands beside what the sandbox makes of the same derivation, and never in its place.
   * @param tree a folder on the store's file system; it is gone afterwards
   */
  add(tree: string, facts: Facts): Promise<OutputRecord>;
  /** Forgets an output: its record first, so that a half-deleted folder is never taken for an output. */
  remove(key: Key): void;
  removeRecord(record: OutputRecord): void;

  /** True when the output's bytes are what its record says. Reads all of it. */
  isSound(key: Key): Promise<boolean>;
  /** The digest by today's listing of an output that is there, whenever its record was written: for comparisons. */
  digest(key: Key): Promise<Digest | undefined>;
  /**
   * As `isSound`, of any record. With `update` one whose digest is of an older listing is written anew, once its bytes are
   * what that digest says: nothing is built again.
   */
  check(record: OutputRecord, how: { readonly update: boolean }): Promise<boolean>;

  /** It is the one that was used last. */
  touch(key: Key): void;
  /** Milliseconds since 1970 when it was made or last used; 0 when it is not there. */
  lastUse(record: OutputRecord): number;
  /** Folders of outputs that no record accounts for and nobody is about to write one for: left by a kill. */
  strays(): Promise<string[]>;
}

export interface Sources {
  has(sha256: Digest): boolean;
  /** Where the download is, or is to be. */
  path(sha256: Digest): string;
  /** Hashes of all that are there. */
  all(): Digest[];
  /** True when a downloaded file is what its name says. */
  isSound(sha256: Digest): boolean;
  remove(sha256: Digest): void;
}
