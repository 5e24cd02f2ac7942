/**
 * Realises the job of a test again and again while its cache folder, a small file system, has only so many pages left,
 * and then with room. Prints one line of JSON per try.
 */
import { existsSync, readdirSync, rmSync, statfsSync, writeFileSync, writeSync } from "node:fs";
import path from "node:path";
import { Fault } from "../../src/fault/fault.ts";
import { removeTree } from "../../src/host/remove-tree.ts";
import { DiskStore } from "../../src/store/disk-store.ts";
import { carryOut, readJob } from "./job.ts";
import { cachePaths } from "./rig.ts";

export interface Try {
  /** Free bytes before it. */
  readonly free: number;
  readonly ok: boolean;
  readonly codes: readonly string[];
  readonly messages: readonly string[];
  /** Names of outputs that are not what their records say. */
  readonly damaged: readonly string[];
  /** What is left over in the folders for work, for outputs and for failed steps. */
  readonly left: readonly string[];
  readonly digests: Readonly<Record<string, string>>;
}

const PAGES = [0, 1, 2, 4, 8, 12, 16, 32, 64, 96, 128, 160, 180, 200, 220, 240, 260, 300, 1 << 20];

const job = readJob();
const ballast = path.join(job.cache, "ballast");
const paths = cachePaths(job.cache);

const freeBytes = (): number => {
  const { bavail, bsize } = statfsSync(job.cache);
  return bavail * bsize;
};

/** Leaves so many pages free. */
function fill(pages: number): void {
  rmSync(ballast, { force: true });
  const bytes = freeBytes() - pages * 4096;
  if (bytes > 0) writeFileSync(ballast, Buffer.alloc(bytes));
}

/** The disk may be full before a node is made: then the whole forge fails. */
async function attempt(): Promise<{ readonly ok: boolean; readonly faults: readonly Fault[] }> {
  try {
    const { ok, failed } = await carryOut(job, new AbortController().signal, () => {});
    return { ok, faults: [...failed.values()] };
  } catch (error) {
    if (error instanceof Fault) return { ok: false, faults: [error] };
    throw error;
  }
}

for (const pages of PAGES) {
  // the folders themselves are there before the disk gets full: without them there is no store to open
  const store = DiskStore.open(paths);
  fill(pages);
  const free = freeBytes();
  const { ok, faults } = await attempt();
  const records = store.outputs.records();
  const sound = await Promise.all(records.map((record) => store.outputs.isSound(record.key)));
  const kept = path.join(job.cache, "failed");
  const result: Try = {
    free,
    ok,
    codes: faults.map((fault) => fault.code),
    messages: faults.map((fault) => fault.message),
    damaged: records.filter((_, index) => !sound[index]).map((record) => record.name),
    left: [
      ...(await store.outputs.strays()),
      ...readdirSync(paths.tmp),
      ...(existsSync(kept) ? readdirSync(kept) : []),
    ],
    digests: Object.fromEntries(records.map((record) => [record.name, record.digest])),
  };
  writeSync(1, `${JSON.stringify(result)}\n`);
  // the next try starts from nothing
  for (const record of records) if (!record.name.startsWith("seed-")) store.outputs.remove(record.key);
  for (const name of readdirSync(paths.sources)) removeTree(path.join(paths.sources, name));
}
