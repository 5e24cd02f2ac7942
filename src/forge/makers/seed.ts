/** Unpacks the packages of a seed. */
import { lstatSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Fault } from "../../fault/fault.ts";
import type { SeedDerivation } from "../../recipe/derivation.ts";
import { unpackDebs } from "../../source/unpack.ts";
import { inWorkFolder, keep, type Maker } from "./maker.ts";

export const makeSeed: Maker<SeedDerivation> = (job) => {
  const { node, derivation: seed, run } = job;
  const { store, signal } = run;
  run.emit({ type: "start", key: node.key, log: undefined });
  const packages = seed.packages.map(({ sha256 }) => store.sources.path(sha256));
  return inWorkFolder(store, seed.name, async (tree) => {
    await unpackDebs(packages, tree, { signal });
    addAccounts(tree);
    return keep(job, { tree });
  });
};

/**
 * The user and group files that maintainer scripts would have made; uid 1000 is who a step runs as. A package may have put
 * links there. Throws E_ARCHIVE when /etc itself is one: it could lead out of the tree.
 */
function addAccounts(tree: string): void {
  const etc = path.join(tree, "etc");
  mkdirSync(etc, { recursive: true });
  if (!lstatSync(etc).isDirectory())
    throw new Fault("E_ARCHIVE", "a package of the seed has a link in the place of /etc");
  const write = (name: string, text: string): void => {
    const file = path.join(etc, name);
    rmSync(file, { force: true });
    writeFileSync(file, text, { flag: "wx" });
  };
  write("passwd", "root:x:0:0:root:/root:/bin/sh\nanvil:x:1000:1000:anvil:/build:/bin/sh\n");
  write("group", "root:x:0:\nanvil:x:1000:\n");
  write("hosts", "127.0.0.1 localhost\n::1 localhost\n");
}
