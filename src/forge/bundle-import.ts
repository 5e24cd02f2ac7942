/**
 * Takes a bundle (`bundle.ts`) into the store: all that is wanted of it, or nothing. What it is for is decided from its index
 * before a file is copied; every file is compared with its hash while it is copied; only when the last one was, all of them
 * get their names in the store.
 */
import { createHash } from "node:crypto";
import { createReadStream, statfsSync, statSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { tarEntries, type TarEntry } from "../format/tar.ts";
import type { Channel } from "../recipe/channel.ts";
import type { Digest, FetchDerivation } from "../recipe/derivation.ts";
import { pinsDigest } from "../source/channel.ts";
import { Checker, wrong } from "../source/channel-shape.ts";
import { removeTree } from "../host/remove-tree.ts";
import type { Store } from "../store/store.ts";
import { writeFault } from "../store/write-fault.ts";
import { fileEntry, INDEX_ENTRY, type BundleChannel, type BundleFile, type BundleIndex } from "./bundle.ts";

/** What a channel of this project needs, as its plan says. */
export interface Wanted {
  readonly channel: Channel;
  readonly fetches: readonly FetchDerivation[];
}

export interface ImportPlan {
  readonly wanted: readonly Wanted[];
  /** Whether files that none of these channels pins are passed over. */
  readonly partly: boolean;
  /** Components whose doubtful pins were accepted. */
  readonly acceptUnverified: ReadonlySet<string>;
}

export interface Imported {
  readonly index: BundleIndex;
  /** Files that were copied; the others are there already, or not for these channels. */
  readonly taken: readonly BundleFile[];
}

/** Bytes that an index may have: some hundred for each file. */
const MOST_INDEX = 1 << 26;

/**
 * @param planOf says what is wanted, once it is known what there is
 * Throws E_BUNDLE for what is no bundle, damaged or incomplete, E_BUNDLE_CHANNEL for one that is for other channels or pins,
 * E_UNVERIFIED, E_INTERRUPTED and what a disk can refuse; then the store is as it was.
 */
export async function importBundle(
  file: string,
  store: Store,
  planOf: (index: BundleIndex) => Promise<ImportPlan>,
  signal?: AbortSignal,
): Promise<Imported> {
  const entries = openEntries(file);
  const work = store.workFolder("import");
  try {
    const index = await readIndex(entries, file);
    const taken = filesToTake(index, await planOf(index), store, file);
    if (taken.length === 0) return { index, taken };
    requireSpace(taken, store);
    await copy(entries, { index, taken: new Set(taken), work, file, signal });
    for (const { sha256 } of taken) await onDisk(work, rename(path.join(work, sha256), store.sources.path(sha256)));
    return { index, taken };
  } catch (error) {
    // what the disk of the store refuses is a fault already
    throw error instanceof Fault ? error : damaged(file, (error as Error).message, error);
  } finally {
    await entries.return(undefined);
    removeTree(work);
  }
}

function onDisk<T>(where: string, work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    throw writeFault(error, where);
  });
}

type Entries = AsyncGenerator<TarEntry>;

function openEntries(file: string): Entries {
  try {
    if (statSync(file).isDirectory()) throw Object.assign(new Error("it is a folder"), { code: "EISDIR" });
  } catch (error) {
    throw new Fault("E_BUNDLE", `${file} cannot be read: ${(error as Error).message}`, {
      hint: "anvil fetch --export <file>   makes one, on a machine with network",
      cause: error,
    });
  }
  return tarEntries(createReadStream(file, { highWaterMark: 1 << 20 }));
}

async function readIndex(entries: Entries, file: string): Promise<BundleIndex> {
  const first = await entries.next().catch((error: unknown) => {
    throw notBundle(file, (error as Error).message);
  });
  if (first.done === true || first.value.name !== INDEX_ENTRY || first.value.type !== "file")
    throw notBundle(file, `it does not begin with ${INDEX_ENTRY}`);
  const { size, body } = first.value;
  if (size > MOST_INDEX) throw notBundle(file, `its index has ${size} bytes`);
  const pieces: Buffer[] = [];
  for await (const piece of body) pieces.push(piece);
  let value: unknown;
  try {
    value = JSON.parse(Buffer.concat(pieces).toString("utf8"));
    return checkIndex(value);
  } catch (error) {
    throw notBundle(file, (error as Error).message);
  }
}

/** Throws an error that says what is wrong, with its JSON path. */
export function checkIndex(value: unknown): BundleIndex {
  const at = new Checker(INDEX_ENTRY, "$", value);
  const format = at.get("format").value;
  if (format !== 1) throw wrong(INDEX_ENTRY, "$.format", "1, the only one that this version reads", format);
  at.only("format", "channels", "files");
  const files = at.get("files").list(checkFile);
  // one entry per hash, in one order: what follows is compared with it
  const disorder = files.findIndex(({ sha256 }, n) => n > 0 && sha256 <= (files[n - 1]?.sha256 ?? ""));
  if (disorder !== -1)
    throw wrong(INDEX_ENTRY, `$.files[${disorder}].sha256`, "a later hash than before", files[disorder]);
  return { format: 1, channels: at.get("channels").list(checkChannel), files };
}

function checkChannel(at: Checker): BundleChannel {
  at.only("name", "pins", "targets", "accepted");
  return {
    name: at.get("name").text(),
    pins: at.get("pins").sha256(),
    targets: at.get("targets").list((each) => each.text()),
    accepted: at.get("accepted").each((each) => each.sha256() as Digest),
  };
}

function checkFile(at: Checker): BundleFile {
  at.only("sha256", "bytes", "file", "name", "version", "channels");
  return {
    sha256: at.get("sha256").sha256() as Digest,
    bytes: at.get("bytes").count(),
    file: at.get("file").text(),
    name: at.get("name").text(),
    version: at.get("version").text(),
    channels: at.get("channels").list((each) => each.text()),
  };
}

/**
 * Hashes of sources that a channel does not pin: those of earlier downloads here, and those of the bundle whose components
 * were accepted.
 */
export function acceptedPins(
  { channels }: BundleIndex,
  { name, components }: Channel,
  accept: ReadonlySet<string>,
): Map<string, Digest> {
  const theirs = channels.find((each) => each.name === name)?.accepted ?? {};
  const rows = Object.entries(theirs).filter(
    ([component]) => accept.has(component) && components[component]?.sha256 === undefined,
  );
  return new Map(rows);
}

/** Files of the index that the store lacks and that the plan wants, in the order of the index. */
function filesToTake(index: BundleIndex, plan: ImportPlan, store: Store, file: string): BundleFile[] {
  const there = new Set(index.files.map(({ sha256 }) => sha256));
  for (const { channel, fetches } of plan.wanted) {
    const absent = fetches.filter(({ sha256 }) => sha256 === undefined || !store.sources.has(sha256));
    const theirs = index.channels.find(({ name }) => name === channel.name)?.accepted ?? {};
    for (const fetch of absent) requireAccepted(fetch, theirs, plan, file);
    const missing = absent.filter(({ sha256 }) => sha256 === undefined || !there.has(sha256));
    if (missing.length > 0) throw lacking(file, index, channel, fetches, missing);
  }
  const pinned = new Set(plan.wanted.flatMap(({ channel, fetches }) => [...pinsOf(channel), ...hashesOf(fetches)]));
  const foreign = index.files.filter(({ sha256 }) => !pinned.has(sha256));
  if (foreign.length > 0 && !plan.partly) throw unknownFiles(file, foreign);
  return index.files.filter((each) => pinned.has(each.sha256) && !isHere(each, store));
}

/** A source with a doubtful pin is not had by another way than `--accept-unverified`. */
function requireAccepted(
  { name, version, unverified, sha256 }: FetchDerivation,
  theirs: Readonly<Record<string, Digest>>,
  { acceptUnverified }: ImportPlan,
  file: string,
): void {
  if (unverified === undefined || acceptUnverified.has(name)) return;
  if (sha256 === undefined && theirs[name] === undefined) return;
  throw new Fault("E_UNVERIFIED", `the pin of ${name} ${version} is doubtful`, {
    details: [unverified],
    hint: `check it, then: anvil fetch --import ${file} --accept-unverified ${name}`,
  });
}

const hashesOf = (fetches: readonly FetchDerivation[]): string[] => fetches.flatMap(({ sha256 }) => sha256 ?? []);

/** Every hash that a channel pins. */
function pinsOf({ components, seeds, crates = {} }: Channel): string[] {
  return [
    ...Object.values(components).flatMap(({ sha256, patches = [] }) => [
      ...(sha256 === undefined ? [] : [sha256]),
      ...patches.map((each) => each.sha256),
    ]),
    ...Object.values(seeds).flatMap((packages) => packages.map((each) => each.sha256)),
    ...Object.values(crates).flatMap((list) => list.map((each) => each.sha256)),
  ];
}

/** By its length: its bytes are looked at before they are used. */
function isHere({ sha256, bytes }: BundleFile, store: Store): boolean {
  return statSync(store.sources.path(sha256), { throwIfNoEntry: false })?.size === bytes;
}

const SHOWN = 10;

function listed(rows: readonly string[]): string[] {
  return rows.length <= SHOWN ? [...rows] : [...rows.slice(0, SHOWN), `and ${rows.length - SHOWN} others`];
}

function lacking(
  file: string,
  { channels }: BundleIndex,
  channel: Channel,
  fetches: readonly FetchDerivation[],
  missing: readonly FetchDerivation[],
): Fault {
  const theirs = channels.find(({ name }) => name === channel.name);
  const reason =
    theirs === undefined
      ? [`it was made for ${channels.map(({ name }) => name).join(", ")}`]
      : theirs.pins !== pinsDigest(channel)
        ? [`its channel "${channel.name}" pins other files: it was made by another version of this project`]
        : theirs.targets.length > 0
          ? [`it was made for ${theirs.targets.join(", ")}`]
          : [];
  return new Fault(
    "E_BUNDLE_CHANNEL",
    `${file} lacks ${missing.length} of the ${fetches.length} files that channel "${channel.name}" needs`,
    {
      details: [...reason, ...listed(missing.map(({ name, version, file: each }) => `${name} ${version}: ${each}`))],
      hint: `in a copy of this very project: anvil fetch --channel ${channel.name} --export <file>; or name targets that it was made for`,
    },
  );
}

function unknownFiles(file: string, foreign: readonly BundleFile[]): Fault {
  return new Fault("E_BUNDLE_CHANNEL", `${file} holds ${foreign.length} files that its channels do not pin here`, {
    details: listed(foreign.map((each) => `${each.name} ${each.version}: ${each.file}`)),
    hint: "--channel <name> takes what that channel pins, and nothing else",
  });
}

function requireSpace(taken: readonly BundleFile[], store: Store): void {
  const { bavail, bsize } = statfsSync(store.paths.top);
  const bytes = taken.reduce((sum, each) => sum + each.bytes, 0);
  if (bytes <= bavail * bsize) return;
  throw writeFault(Object.assign(new Error(`${bytes} bytes are needed`), { code: "ENOSPC" }), store.paths.top);
}

interface CopyOptions {
  readonly index: BundleIndex;
  readonly taken: ReadonlySet<BundleFile>;
  readonly work: string;
  readonly file: string;
  readonly signal: AbortSignal | undefined;
}

/** Reads to the end of the archive, and is content with nothing but the files of the index in their order. */
async function copy(entries: Entries, { index, taken, work, file, signal }: CopyOptions): Promise<void> {
  const due = [...index.files];
  for await (const entry of entries) {
    const next = due.shift();
    if (next === undefined) throw damaged(file, `"${entry.name}" is not in its index`);
    if (entry.name !== fileEntry(next.sha256) || entry.type !== "file")
      throw damaged(file, `"${entry.name}" stands where ${fileEntry(next.sha256)} is due`);
    if (entry.size !== next.bytes) throw damaged(file, `${next.file} has ${entry.size} bytes, not ${next.bytes}`);
    if (taken.has(next)) await copyFile(entry, next, path.join(work, next.sha256), file);
    if (signal?.aborted === true) throw new Fault("E_INTERRUPTED", "interrupted: nothing was taken");
  }
  if (due.length > 0) throw damaged(file, `it ends before ${due[0]?.file}`);
}

async function copyFile(
  { body }: TarEntry,
  { sha256, file: name }: BundleFile,
  to: string,
  file: string,
): Promise<void> {
  const hash = createHash("sha256");
  const handle = await onDisk(to, open(to, "wx", 0o644));
  try {
    for await (const piece of body) {
      hash.update(piece);
      await onDisk(to, handle.appendFile(piece));
    }
    await onDisk(to, handle.sync());
  } finally {
    await handle.close();
  }
  const got = hash.digest("hex");
  if (got === sha256) return;
  throw new Fault("E_BUNDLE", `${file} is damaged: ${name} is not the file that its name says`, {
    details: [`expected sha256 ${sha256}`, `got      sha256 ${got}`],
    hint: "copy it again from where it was made; nothing of it was taken",
  });
}

function notBundle(file: string, why: string): Fault {
  return new Fault("E_BUNDLE", `${file} is no bundle of sources: ${why}`, {
    hint: "anvil fetch --export <file>   makes one, on a machine with network",
  });
}

function damaged(file: string, why: string, cause?: unknown): Fault {
  return new Fault("E_BUNDLE", `${file} is damaged: ${why}`, {
    hint: "copy it again from where it was made; nothing of it was taken",
    cause,
  });
}
