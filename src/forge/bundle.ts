/**
 * A bundle: one file with all that forges download, for a machine without network. It is a tar archive, so that anybody can
 * list it and take it apart, and it is written and read from front to back, so that gigabytes need no memory. The same files
 * for the same channels give the same bytes, wherever and in whatever order they are asked for.
 *
 * | entry | what |
 * |---|---|
 * | `anvil-sources/index.json` | what it is for and what follows: `BundleIndex` |
 * | `anvil-sources/<sha256>` | each file of the index, in its order |
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { setImmediate as breathe } from "node:timers/promises";
import { errno, Fault } from "../fault/fault.ts";
import { TAR_END, tarHead, tarPadding } from "../format/tar-head.ts";
import { makeFolder } from "../host/make-folder.ts";
import { draftOf } from "../host/replace-file.ts";
import type { Channel } from "../recipe/channel.ts";
import type { Digest, FetchDerivation } from "../recipe/derivation.ts";
import { pinsDigest } from "../source/channel.ts";
import { diskFault } from "../host/disk.ts";
import { FIXED_TIME } from "../store/finish.ts";
import type { Store } from "../store/store.ts";

export interface BundleIndex {
  readonly format: 1;
  /** By name. */
  readonly channels: readonly BundleChannel[];
  /** By hash. */
  readonly files: readonly BundleFile[];
}

export interface BundleChannel {
  readonly name: string;
  /** SHA-256 over its pins, as in `proven` of a channel's file. */
  readonly pins: string;
  /** Names of the recipes that it has the downloads of; empty: of all. */
  readonly targets: readonly string[];
  /** Hashes of sources that the channel does not pin, by component: what was accepted when they were downloaded. */
  readonly accepted: Readonly<Record<string, Digest>>;
}

export interface BundleFile {
  readonly sha256: Digest;
  readonly bytes: number;
  /** What its author calls it. */
  readonly file: string;
  readonly name: string;
  readonly version: string;
  /** Those of the channels that need it. */
  readonly channels: readonly string[];
}

/** What a bundle is to have for one channel. */
export interface Share {
  readonly channel: Channel;
  readonly targets: readonly string[];
  readonly fetches: readonly FetchDerivation[];
}

export interface Bundled {
  readonly index: BundleIndex;
  /** Of the whole file. */
  readonly bytes: number;
}

export const INDEX_ENTRY = "anvil-sources/index.json";

export const fileEntry = (sha256: Digest): string => `anvil-sources/${sha256}`;

/** Bytes after which other work gets its turn. */
const TURN = 1 << 24;

/**
 * Writes a bundle of what the store has. The file appears whole and on the disk, or not at all. Throws E_BUNDLE for a name
 * that no file can have, E_STORE_DAMAGED for a download that is not what its name says (it is removed then) or not there,
 * E_INTERRUPTED, E_DISK_FULL and E_READ_ONLY.
 */
export async function writeBundle(
  shares: readonly Share[],
  store: Store,
  to: string,
  signal?: AbortSignal,
): Promise<Bundled> {
  const index = indexOf(shares, store);
  const draft = draftOf(to);
  try {
    refusePlace(to);
    makeFolder(path.dirname(path.resolve(to)), 0o777);
    const writer = new Writer(draft, signal);
    try {
      const text = Buffer.from(`${JSON.stringify(index, null, 1)}\n`);
      writer.entry(INDEX_ENTRY, text.length);
      writer.bytes(text);
      writer.bytes(tarPadding(text.length));
      for (const file of index.files) await writer.source(file, store);
      writer.finish();
    } finally {
      writer.close();
    }
    renameSync(draft, to);
    return { index, bytes: writer.written };
  } catch (error) {
    if (existsSync(draft)) rmSync(draft);
    throw notWritten(error, to);
  }
}

function notWritten(error: unknown, to: string): unknown {
  if (error instanceof Fault || errno(error) === undefined) return error;
  const known = diskFault(error, to);
  return new Fault(
    known?.code ?? "E_BUNDLE",
    known?.message ?? `${to} cannot be written: ${(error as Error).message}`,
    {
      hint: "name another place with --export; what was downloaded is kept",
      cause: error,
    },
  );
}

/** A device or a pipe would be replaced by the file. */
function refusePlace(to: string): void {
  const stat = lstatSync(to, { throwIfNoEntry: false });
  if (stat === undefined || stat.isFile()) return;
  const what = stat.isDirectory() ? "a folder" : "no ordinary file";
  throw new Fault("E_BUNDLE", `${to} is ${what}`, { hint: "name the file that is to be made" });
}

function indexOf(shares: readonly Share[], store: Store): BundleIndex {
  const byName = [...shares].sort((a, b) => (a.channel.name < b.channel.name ? -1 : 1));
  const files = new Map<Digest, BundleFile>();
  for (const { channel, fetches } of byName) {
    for (const { sha256, file, name, version } of fetches) {
      if (sha256 === undefined || !store.sources.has(sha256)) throw absent(file);
      const known = files.get(sha256);
      const channels = [...new Set([...(known?.channels ?? []), channel.name])];
      const facts = known ?? { sha256, bytes: statSync(store.sources.path(sha256)).size, file, name, version };
      files.set(sha256, { ...facts, channels });
    }
  }
  return {
    format: 1,
    channels: byName.map(({ channel, targets, fetches }) => ({
      name: channel.name,
      pins: pinsDigest(channel),
      targets: [...targets].sort(),
      accepted: acceptedOf(channel, fetches),
    })),
    files: [...files.values()].sort((a, b) => (a.sha256 < b.sha256 ? -1 : 1)),
  };
}

function acceptedOf({ components }: Channel, fetches: readonly FetchDerivation[]): Record<string, Digest> {
  const unpinned = fetches.filter(({ name, crate }) => {
    const pin = crate === undefined ? components[name] : undefined;
    return pin !== undefined && pin.sha256 === undefined;
  });
  const rows = unpinned.map(({ name, sha256 }) => [name, sha256 as Digest] as const);
  return Object.fromEntries(rows.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function absent(file: string): Fault {
  return new Fault("E_STORE_DAMAGED", `${file} is not in the store any more`, {
    hint: "start again: it is downloaded again",
  });
}

const chunk = Buffer.allocUnsafe(1 << 20);

class Writer {
  written = 0;
  private readonly fd: number;
  private unyielded = 0;

  constructor(
    draft: string,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.fd = openSync(draft, "wx");
  }

  entry(name: string, size: number): void {
    this.bytes(tarHead({ name, kind: "file", size, time: FIXED_TIME }));
  }

  bytes(piece: Buffer): void {
    for (let at = 0; at < piece.length;) at += writeSync(this.fd, piece, at);
    this.written += piece.length;
    this.unyielded += piece.length;
  }

  /** Compares the file with its hash while it is copied. */
  async source({ sha256, bytes, file }: BundleFile, store: Store): Promise<void> {
    this.entry(fileEntry(sha256), bytes);
    const hash = createHash("sha256");
    const from = openSync(store.sources.path(sha256), "r");
    let left = bytes;
    try {
      for (let length; (length = readSync(from, chunk, 0, Math.min(left, chunk.length), null)) > 0;) {
        const piece = chunk.subarray(0, length);
        hash.update(piece);
        this.bytes(piece);
        left -= length;
        if (this.unyielded > TURN) await this.rest();
      }
    } finally {
      closeSync(from);
    }
    if (left > 0 || hash.digest("hex") !== sha256) {
      store.sources.remove(sha256);
      throw new Fault("E_STORE_DAMAGED", `${file} in the store is damaged and was removed`, {
        details: [`sha256 ${sha256} was expected`],
        hint: "start again: it is downloaded again",
      });
    }
    this.bytes(tarPadding(bytes));
  }

  private async rest(): Promise<void> {
    this.unyielded = 0;
    await breathe();
    if (this.signal?.aborted === true) throw new Fault("E_INTERRUPTED", "interrupted: no file was made");
  }

  finish(): void {
    this.bytes(TAR_END);
    fsyncSync(this.fd);
  }

  close(): void {
    closeSync(this.fd);
  }
}
