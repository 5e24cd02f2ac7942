/** Checks a cache folder in a process of its own, for `cache-folder.test.ts`. Prints code and details of the fault. */
import { writeSync } from "node:fs";
import { Fault } from "../../src/fault/fault.ts";
import { checkCache } from "../../src/store/fitness.ts";
import { DiskStore } from "../../src/store/disk-store.ts";
import { cachePaths } from "./rig.ts";

try {
  checkCache(DiskStore.open(cachePaths(process.argv[2] ?? "")));
  writeSync(1, "fit\n");
} catch (error) {
  if (!(error instanceof Fault)) throw error;
  writeSync(1, [error.code, ...error.details].map((line) => `${line}\n`).join(""));
}
