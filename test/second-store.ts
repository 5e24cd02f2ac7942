/** A store of its own that has everything but some outputs: for building these once more. */
import { copyFileSync, cpSync, linkSync, mkdirSync, mkdtempSync, readdirSync } from "node:fs";
import path from "node:path";
import type { Store } from "../src/store/store.ts";

/**
 * Downloads are shared by hard link, outputs are copied. The folder is on the same file system as the store; the caller
 * deletes it with `removeTree`.
 * @param without names of the outputs to leave out
 */
export function secondStore(store: Store, without: ReadonlySet<string>): string {
  const top = mkdtempSync(path.join(path.dirname(store.paths.top), "anvil-second-"));
  mkdirSync(path.join(top, "sources"));
  mkdirSync(path.join(top, "store"));
  for (const file of readdirSync(store.paths.sources)) {
    linkSync(path.join(store.paths.sources, file), path.join(top, "sources", file));
  }
  for (const { key, name, origin } of store.outputs.records()) {
    if (without.has(name) || origin !== undefined) continue;
    const folder = store.outputs.path(key);
    cpSync(folder, path.join(top, "store", path.basename(folder)), { recursive: true, verbatimSymlinks: true });
    copyFileSync(path.join(store.paths.outputs, `${key}.json`), path.join(top, "store", `${key}.json`));
  }
  return top;
}
