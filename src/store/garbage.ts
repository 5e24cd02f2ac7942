/** What the cache folder holds and nobody needs. */
import { existsSync, lstatSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import type { Digest, Key } from "../recipe/derivation.ts";
import { ownerIn } from "../host/owner.ts";
import { removeTree, type OutputRecord, type Store } from "./store.ts";
import { walk } from "./tree.ts";

export interface Garbage {
  /** For a reader. */
  readonly name: string;
  readonly bytes: number;
  remove(): void | Promise<void>;
}

/** What plans need. */
export interface Needed {
  readonly keys: ReadonlySet<Key>;
  readonly sources: ReadonlySet<Digest>;
}

/** Digits of a key in names of logs and of kept sandboxes. */
const SHORT_KEY = 16;

/** Looks only; what of it is to go, goes by its `remove`. */
export async function findGarbage(store: Store, { keys, sources }: Needed): Promise<Garbage[]> {
  const { outputs, sources: downloads, logs, top } = store.paths;
  const outdated = store.records().filter((record) => !keys.has(record.key) || isSuperseded(store, record));
  const short = new Set([...keys].map((key) => key.slice(0, SHORT_KEY)));
  return [
    ...outdated.map((record) => ({
      name: recordName(record),
      bytes: record.bytes,
      remove: () => store.removeRecord(record),
    })),
    ...namesIn(downloads)
      .filter((name) => {
        const sha256 = /^([0-9a-f]{64})(?:\.(?:part|checked))?$/.exec(name)?.[1] as Digest | undefined;
        if (sha256 === undefined) return false;
        return !sources.has(sha256) || (name.endsWith(".checked") && !store.hasSource(sha256));
      })
      .map((name) => entry(path.join(downloads, name), `download ${name.slice(0, 12)}${path.extname(name)}`)),
    ...namesIn(logs)
      .filter((name) => {
        const key = /-([0-9a-f]{16})\.log$/.exec(name)?.[1];
        return key !== undefined && !short.has(key);
      })
      .map((name) => entry(path.join(logs, name), `log ${name}`)),
    ...namesIn(path.join(top, "failed")).map((name) =>
      entry(path.join(top, "failed", name), `kept sandbox ${name} of a failed step`),
    ),
    ...(await store.strays()).map((folder) => ({
      ...entry(folder, `half-made ${path.relative(outputs, folder)}`),
      // a forge may have come to make this very output since
      remove: async () => ((await store.strays()).includes(folder) ? removeTree(folder) : undefined),
    })),
    ...(await store.abandoned()).map((file) => entry(file, `left by a killed process: ${leftName(file)}`)),
  ];
}

export function recordName({ name, version, origin }: OutputRecord): string {
  const title = version === "" ? name : `${name} ${version}`;
  return origin === undefined ? title : `${title} (made in ${origin.place} for ${origin.for.join(", ")})`;
}

/** The sandbox has made the same bytes since. */
function isSuperseded(store: Store, record: OutputRecord): boolean {
  return record.origin !== undefined && store.sandboxed(record.key)?.digest === record.digest;
}

function leftName(file: string): string {
  const name = path.basename(file);
  return name.slice((ownerIn(name)?.length ?? -1) + 1);
}

function entry(file: string, name: string): Garbage {
  return {
    name,
    bytes: sizeOf(file),
    remove: () => (isFolder(file) ? removeTree(file) : rmSync(file, { force: true })),
  };
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
