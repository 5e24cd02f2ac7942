/** The monitor of micro virtual machines, its control, and a guest to boot. docs/vmm.md describes them. */
import { contains, exists } from "../../src/recipe/proof.ts";
import { recipe } from "../../src/recipe/recipe.ts";
import { anvilVmm } from "../anvil-vmm.ts";
import { anvilctl } from "../anvilctl.ts";
import { firecracker } from "../firecracker.ts";
import { guest } from "../guest.ts";
import { ingot, type IngotFields } from "../ingot.ts";
import { seedBase } from "../seed.ts";

const vmmFiles = recipe({
  name: "vmm-files",
  licence: "Apache-2.0",
  files: ["system/ingots/vmm"],
  seed: seedBase,
  script: `\
mkdir -p /out/service/vmm /out/usr/libexec/vmm
cp /files/system/ingots/vmm/run /out/service/vmm
cp /files/system/ingots/vmm/health /out/usr/libexec/vmm
`,
  proves: [exists("usr/libexec/vmm/health"), contains("service/vmm/run", /^exec anvil-vmm\b/)],
});

const fields: IngotFields = {
  name: "vmm",
  version: "0.1.0",
  trees: [anvilVmm, anvilctl, guest, vmmFiles],
  services: ["vmm"],
  health: { seconds: 60, program: "usr/libexec/vmm/health" },
  atMost: 12_000_000,
};

export const vmm = ingot(fields);

/** With Firecracker beside it, for `anvilctl boot --monitor firecracker`, where a channel has its source. */
export const vmmWithFirecracker = ingot({
  ...fields,
  variant: "firecracker",
  trees: [...fields.trees, firecracker],
  atMost: 16_000_000,
});
