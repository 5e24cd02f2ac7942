/** What the cache folder holds and nobody needs, or used last long ago. */
import { existsSync, lstatSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import type { Digest, Key } from "../recipe/derivation.ts";
import { Fault } from "../fault/fault.ts";
import { describeOwner, ownerIn } from "../host/owner.ts";
import { removeTree } from "../host/remove-tree.ts";
import { leastRecent, type Item } from "./least-recent.ts";
import type { OutputRecord } from "./record.ts";
import type { Store } from "./store.ts";
import { walk } from "./tree.ts";
import type { Used } from "./uses.ts";

export interface Garbage {
  /** For a reader. */
  readonly name: string;
  readonly bytes: number;
  /** False when it stays, because a process has begun to use it. */
  remove(): Promise<boolean>;
}

/** Digits of a key in names of logs and of kept sandboxes. */
const SHORT_KEY = 16;

/**
 * All that is neither needed by the plans nor used by a living process. Looks only; what of it is to go, goes by its
 * `remove`.
 * @param needed what plans need
 */
export async function findGarbage(store: Store, needed: Used): Promise<Garbage[]> {
  const used = await store.uses.current();
  const keys = new Set([...needed.keys, ...used.keys]);
  const sources = new Set([...needed.sources, ...used.sources]);
  const outdated = store.outputs
    .records()
    .filter((record) => !keys.has(record.key) || (isSuperseded(store, record) && !used.keys.has(record.key)));
  return [
    ...outdated.map((record) => outputEntry(store, record)),
    ...downloads(store, (sha256, name) => !sources.has(sha256) || isWidowed(store, sha256, name)),
    ...staleLogs(store, keys),
    ...(await leftovers(store)),
  ];
}

/**
 * Leftovers, and of outputs and downloads the least recently used ones, until those that stay have at most `limit` bytes.
 * What a living process uses stays. Throws E_CACHE_IN_USE when one works in the store that does not say on what.
 */
export async function findLeastRecent(store: Store, limit: number): Promise<Garbage[]> {
  const silent = await store.uses.silent();
  if (silent.length > 0)
    throw new Fault("E_CACHE_IN_USE", `${silent.map(describeOwner).join(", ")} builds in ${store.paths.top}`, {
      details: ["it is of a version that does not say what it uses"],
      hint: "wait until it has ended",
    });
  const used = await store.uses.current();
  const goes = leastRecent(store, limit, used);
  const parts = downloads(
    store,
    (sha256, name) => (name.endsWith(".part") && !used.sources.has(sha256)) || isWidowed(store, sha256, name),
  );
  return [...goes.map((each) => garbageOf(store, each)), ...parts, ...(await leftovers(store))];
}

/** Those that went. */
export async function removeAll(garbage: readonly Garbage[]): Promise<Garbage[]> {
  const removed: Garbage[] = [];
  for (const each of garbage) if (await each.remove()) removed.push(each);
  return removed;
}

function garbageOf(store: Store, item: Item): Garbage {
  if (item.kind === "output") return outputEntry(store, item.record);
  const { sha256, bytes } = item;
  return guarded(store, sha256, { name: downloadName(sha256), bytes }, () => store.sources.remove(sha256));
}

/** What a kill left, and kept sandboxes of failed steps. */
async function leftovers(store: Store): Promise<Garbage[]> {
  const { outputs, top } = store.paths;
  const failed = path.join(top, "failed");
  return [
    ...namesIn(failed).map((name) => entry(path.join(failed, name), `kept sandbox ${name} of a failed step`)),
    ...(await store.outputs.strays()).map((folder) => ({
      ...entry(folder, `half-made ${path.relative(outputs, folder)}`),
      // a forge may have come to make this very output since
      remove: async () => {
        if (!(await store.outputs.strays()).includes(folder)) return false;
        removeTree(folder);
        return true;
      },
    })),
    ...(await store.abandoned()).map((file) => entry(file, `left by a killed process: ${leftName(file)}`)),
  ];
}

function staleLogs({ paths: { logs } }: Store, keys: ReadonlySet<Key>): Garbage[] {
  const short = new Set([...keys].map((key) => key.slice(0, SHORT_KEY)));
  return namesIn(logs)
    .filter((name) => {
      const key = /-([0-9a-f]{16})\.log$/.exec(name)?.[1];
      return key !== undefined && !short.has(key);
    })
    .map((name) => entry(path.join(logs, name), `log ${name}`));
}

/** Downloads, parts of them, and the marks that their archives were checked. */
function downloads(store: Store, isGarbage: (sha256: Digest, name: string) => boolean): Garbage[] {
  const folder = store.paths.sources;
  return namesIn(folder).flatMap((name) => {
    const sha256 = /^([0-9a-f]{64})(?:\.(?:part|checked))?$/.exec(name)?.[1] as Digest | undefined;
    if (sha256 === undefined || !isGarbage(sha256, name)) return [];
    const file = path.join(folder, name);
    return [guarded(store, sha256, entry(file, downloadName(name)), () => deleteEntry(file))];
  });
}

const downloadName = (name: string): string => `download ${name.slice(0, 12)}${path.extname(name)}`;

/** A mark without its archive. */
const isWidowed = (store: Store, sha256: Digest, name: string): boolean =>
  name.endsWith(".checked") && !store.sources.has(sha256);

function outputEntry(store: Store, record: OutputRecord): Garbage {
  return {
    name: recordName(record),
    bytes: record.bytes,
    remove: () => store.uses.removeUnused(record.key, () => store.outputs.removeRecord(record)),
  };
}

export function recordName({ name, version, origin }: OutputRecord): string {
  const title = version === "" ? name : `${name} ${version}`;
  return origin === undefined ? title : `${title} (made in ${origin.place} for ${origin.for.join(", ")})`;
}

/** The sandbox has made the same bytes since. */
function isSuperseded(store: Store, record: OutputRecord): boolean {
  return record.origin !== undefined && store.outputs.sandboxed(record.key)?.digest === record.digest;
}

function leftName(file: string): string {
  const name = path.basename(file);
  return name.slice((ownerIn(name)?.length ?? -1) + 1);
}

function entry(file: string, name: string): Garbage {
  return {
    name,
    bytes: sizeOf(file),
    remove: () => {
      deleteEntry(file);
      return Promise.resolve(true);
    },
  };
}

/** The same for what a process may begin to use. */
function guarded(
  store: Store,
  sha256: Digest,
  { name, bytes }: Pick<Garbage, "name" | "bytes">,
  remove: () => void,
): Garbage {
  return { name, bytes, remove: () => store.uses.removeUnused(sha256, remove) };
}

function deleteEntry(file: string): void {
  if (isFolder(file)) removeTree(file);
  else rmSync(file, { force: true });
}

const isFolder = (file: string): boolean => lstatSync(file, { throwIfNoEntry: false })?.isDirectory() === true;

/** Bytes of the files; 0 for what cannot be read, such as a folder that a step left without permissions. */
function sizeOf(file: string): number {
  try {
    if (!isFolder(file)) return lstatSync(file).size;
    let bytes = 0;
    for (const { stat } of walk(file)) if (stat.isFile()) bytes += stat.size;
    return bytes;
  } catch {
    return 0;
  }
}

const namesIn = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder).sort() : []);
