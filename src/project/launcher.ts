import { Fault } from "../fault/fault.ts";
import { evaluate } from "../forge/evaluate.ts";
import { loadSeeds } from "../source/channel.ts";
import { checkCache } from "../store/fitness.ts";
import type { Project } from "./project.ts";
import type { Launcher } from "../vm/launcher.ts";
import { seedLauncher } from "../vm/seed-launcher.ts";

/** Runs QEMU and the other programs of the `vm` seed. Throws E_NO_INPUTS when that is not in the store, E_CACHE_NOEXEC. */
export async function vmLauncher(project: Project): Promise<Launcher> {
  const { store } = project;
  // told before QEMU fails to start
  checkCache(store);
  const seeds = await loadSeeds(project.root);
  const channel = { name: "seeds", description: "of every channel", epoch: 0, components: {}, seeds };
  const { vm } = (await project.targets()).catalogue.seeds;
  const [key] = evaluate([vm], { project: project.root, channel, pins: new Map() }).targets;
  // until this process ends, which the machine does not outlive
  if (key !== undefined) await store.uses.announce({ keys: new Set([key]), sources: new Set() });
  if (key === undefined || !store.outputs.has(key))
    throw new Fault("E_NO_INPUTS", "QEMU is not in the store", { hint: "anvil forge   brings it" });
  return await seedLauncher(store.outputs.path(key));
}
