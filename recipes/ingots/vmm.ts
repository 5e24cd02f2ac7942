/** The monitor of micro virtual machines, its control, and a guest to boot. docs/vmm.md describes them. */
import { contains } from "../../src/recipe/proof.ts";
import { tree } from "../../src/recipe/tree.ts";
import { anvilVmm } from "../anvil-vmm.ts";
import { anvilctl } from "../anvilctl.ts";
import { firecracker } from "../firecracker.ts";
import { guest } from "../guest.ts";
import { ingot, type IngotFields } from "../ingot.ts";
import { seedBase } from "../seed.ts";

const vmmFiles = tree({
  name: "vmm-files",
  seed: seedBase,
  from: [],
  files: { "usr/libexec/vmm/health": "system/ingots/vmm/health" },
  services: { vmm: "system/ingots/vmm/run" },
  serviceFolder: "service",
  proves: [contains("service/vmm/run", /^exec anvil-vmm\b/)],
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
