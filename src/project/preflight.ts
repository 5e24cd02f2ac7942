import { realise } from "../forge/forge.ts";
import { findingsOf, planPreflight } from "../forge/preflight.ts";
import type { Finding } from "../recipe/preflight.ts";
import { downloads } from "./places.ts";
import type { Project } from "./project.ts";
import { realisation, type OpenView, type RunChoice } from "./realisation.ts";
import { recipesOf } from "./targets.ts";

export interface PreflightRequest {
  /** Recipes; none is the image and all ingots. */
  readonly names: readonly string[];
  /** Everything that the channel has the sources of, instead. */
  readonly all: boolean;
  readonly choice: Omit<RunChoice, "keepGoing">;
  readonly jobs: number;
  readonly signal: AbortSignal;
  readonly view: OpenView;
}

export interface Preflighted {
  readonly channel: string;
  readonly assumptions: readonly (Finding & { readonly version: string })[];
}

/** Looks at what recipes take for granted of their sources. Undefined when it was interrupted. */
export async function preflight(project: Project, request: PreflightRequest): Promise<Preflighted | undefined> {
  const { names, choice, jobs, signal } = request;
  const { store } = project;
  const chosen = await project.selectSources(choice);
  const { channel } = chosen;
  const all = await project.targets();
  const named = names.length > 0 ? all.named(names) : [all.image(), ...all.ingotBodies(channel)];
  const targets = request.all ? all.of(channel) : named;
  const options = { project: project.root, own: project.folder, channel, pins: project.pins(channel) };
  const plan = planPreflight(recipesOf(targets), all.catalogue.seeds.cc, options);
  const view = request.view();
  try {
    const places = downloads(project, choice.places, plan.evaluation);
    const how = await realisation(project, { ...choice, keepGoing: true }, chosen, places, { jobs, signal, on: view });
    const outcome = await realise(plan.evaluation, how);
    if (signal.aborted) return undefined;
    const assumptions = findingsOf(plan, outcome, store).map((finding) => ({
      ...finding,
      version: channel.components[finding.component]?.version ?? "",
    }));
    return { channel: channel.name, assumptions };
  } finally {
    view.close();
  }
}
