/** Packs an output into an initramfs archive. */
import path from "node:path";
import type { CpioDerivation } from "../../recipe/derivation.ts";
import { writeCpio } from "../cpio.ts";
import { inWorkFolder, keep, type Maker } from "./maker.ts";

export const makeCpio: Maker<CpioDerivation> = (job) => {
  const { node, derivation: cpio, run } = job;
  const { store } = run;
  run.emit({ type: "start", key: node.key, log: undefined });
  return inWorkFolder(store, cpio.name, async (tree) => {
    await writeCpio(store.outputs.path(cpio.tree), path.join(tree, `${cpio.name}.cpio`), cpio.epoch);
    return keep(job, { tree });
  });
};
