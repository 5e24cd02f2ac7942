/** The largest resident set of the forge process itself, in what asks most of it. Bytes. */
import { linkSync, mkdirSync, mkdtempSync, readdirSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { storePaths } from "../src/store/paths.ts";
import { removeTree } from "../src/host/remove-tree.ts";
import { bundled, projectRoot, Rig, step, type Cleanup } from "../test/forge/rig.ts";
import { runWatched } from "./watched.ts";

const LINES = 500_000;

/** Unpacks the largest seed from its packages. */
export function measureUnpacking(t: Cleanup): number {
  const home = storePaths(process.env, os.homedir());
  // beside the store, for hard links
  const cache = mkdtempSync(path.join(path.dirname(home.top), "anvil-bench-"));
  t.after(() => removeTree(cache));
  mkdirSync(path.join(cache, "sources"));
  for (const name of readdirSync(home.sources).filter((each) => /^[0-9a-f]{64}$/.test(each)))
    linkSync(path.join(home.sources, name), path.join(cache, "sources", name));
  return runWatched(t, [path.join(projectRoot, "bin/anvil"), "forge", "seed-vm", "--json"], cache).peak;
}

/** Two steps at once that print a lot, and a hundred small ones. */
export async function measureOutput(t: Cleanup): Promise<number> {
  const rig = await Rig.make(t);
  const loud = ["one", "two"].map((name) =>
    step(name, `seq -f 'line %.0f of a loud step' ${LINES}; touch /out/${name}`),
  );
  const small = Array.from({ length: 100 }, (_, i) => step(`small-${i}`, `echo ${i} > /out/a`));
  const job = rig.jobFile(rig.evaluate(...loud, ...small));
  return runWatched(t, [bundled("test/forge/driver"), job], rig.store.paths.top).peak;
}
