/** Makes or opens an ingot and sends it into a running Monolith. */
import { inject } from "../inject/inject.ts";
import { Ingot } from "../inject/ingot-file.ts";
import { refuseOtherMajor, type Keeper } from "../inject/other-major.ts";
import type { Ingot as IngotRecipe } from "../recipe/ingot.ts";
import { findMachine } from "../vm/state.ts";
import { withDestination } from "./connect.ts";
import { ingotNamed, signedIngot } from "./ingots.ts";
import type { Project, SourceValues } from "./project.ts";
import { buildInMonolith, type Sending } from "./workshop.ts";

export interface InjectRequest extends Sending {
  /** A named ingot, built in the sandbox or in the Monolith; or a file as it is. */
  readonly from: { readonly name: string; readonly inMonolith: boolean } | { readonly file: string };
  readonly allowDowngrade: boolean;
  /** Even over one whose data it does not read. */
  readonly otherMajor: boolean;
}

/** False when something of it could not be built, which the events say. Throws the Monolith's refusal and what `Client` throws. */
export async function injectInto(request: InjectRequest): Promise<boolean> {
  const { builder, address, from } = request;
  const { project, store, signal } = builder;
  // said before anything is built
  if (address.to === undefined) await findMachine(store.paths.top, address.machine);
  const check = async (keeper: Keeper | undefined): Promise<void> => {
    if (keeper === undefined || request.otherMajor) return;
    await withDestination(address, store, (destination) => refuseOtherMajor(keeper, destination, signal));
  };
  if ("file" in from) {
    const ingot = await Ingot.ofFile(from.file);
    await check(ingot.manifest.data ? ingot.manifest : undefined);
    return send(ingot, request);
  }
  const recipe = await ingotNamed(from.name, builder);
  // an hour before the system would say so
  await check(await keeperOf(project, recipe, builder.choice));
  if (from.inMonolith && !(await buildInMonolith(recipe, request))) return false;
  const ingot = await signedIngot(recipe, builder);
  return ingot !== undefined && send(ingot, request);
}

/** Name and version of an ingot that keeps data. */
async function keeperOf(
  project: Project,
  { name, version, data }: IngotRecipe,
  sources: SourceValues,
): Promise<Keeper | undefined> {
  if (!data) return undefined;
  if (typeof version === "string") return { name, version };
  const { components } = (await project.selectSources(sources, { look: true })).channel;
  return { name, version: components[version.component]?.version ?? "" };
}

async function send(ingot: Ingot, { builder, address, injectView, allowDowngrade }: InjectRequest): Promise<true> {
  const view = injectView();
  try {
    const options = { allowDowngrade, signal: builder.signal, on: view };
    await withDestination(address, builder.store, (destination) => inject(ingot, destination, options));
    return true;
  } finally {
    view.close();
    await ingot.close();
  }
}
