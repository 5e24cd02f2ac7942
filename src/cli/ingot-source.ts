/** Ingots that recipes make: built like anything else, then signed. */
import { Ingot } from "../inject/ingot-file.ts";
import { requireKey } from "../inject/key-file.ts";
import type { Ingot as IngotRecipe } from "../recipe/ingot.ts";
import type { Key } from "../recipe/derivation.ts";
import type { Project } from "../project/project.ts";
import { build, type BuildRequest, type BuildValues } from "./build.ts";

/** The ingot of that name as the channel makes it. Throws E_NO_TARGET, E_CHANNEL. */
export async function ingotNamed(
  name: string,
  values: Pick<BuildValues, "channel" | "accept-unverified">,
  project: Project,
): Promise<IngotRecipe> {
  const targets = await project.targets();
  targets.requireIngot(name);
  const { channel } = await project.selectChannel(values.channel);
  return targets.ingot(name, channel, new Set(values["accept-unverified"]));
}

/** Builds what is missing of an ingot and signs it; a number is the exit status of a build that failed. */
export async function signedIngot(ingot: IngotRecipe, request: Omit<BuildRequest, "targets">): Promise<Ingot | number> {
  // said before anything is built
  const key = requireKey(request.project.keys);
  const folder = await ingotBody(ingot, request);
  return typeof folder === "number" ? folder : Ingot.ofBody(folder, key);
}

/** The folder with `manifest` and `payload`, or the exit status of a build that failed. */
export async function ingotBody(
  { body }: IngotRecipe,
  request: Omit<BuildRequest, "targets">,
): Promise<string | number> {
  const built = await build({ ...request, targets: [body], silentWhenDone: true });
  return typeof built === "number" ? built : request.store.outputPath(built.evaluation.targets[0] as Key);
}
