import { realise, type RealiseOptions } from "../forge/forge.ts";
import type { Channel } from "../recipe/channel.ts";
import { AUTO, type ChannelChoice } from "../source/channel-choice.ts";
import { downloadsOf, type Wish } from "./offline.ts";
import { downloads } from "./places.ts";
import type { Project } from "./project.ts";
import { realisation, type OpenView, type RunChoice } from "./realisation.ts";

export interface FetchRequest {
  readonly wish: Wish;
  /** Names; the channel of the folder when there is none. */
  readonly channels: readonly string[];
  readonly choice: Omit<RunChoice, "channel">;
  readonly signal: AbortSignal;
  readonly view: OpenView;
}

/** Downloads all that forges need. Returns for which channels; undefined when something could not be had, or was interrupted. */
export async function fetchAll(project: Project, request: FetchRequest): Promise<readonly Channel[] | undefined> {
  const { channels, choice, signal } = request;
  const choices: ChannelChoice[] = [];
  for (const channel of new Set(channels.length === 0 ? [AUTO] : channels))
    choices.push(await project.selectSources({ channel, source: choice.source }, { signal }));
  const view = request.view();
  try {
    for (const chosen of choices) if (!(await fetch(project, request, chosen, view))) return undefined;
    return choices.map(({ channel }) => channel);
  } finally {
    view.close();
  }
}

async function fetch(
  project: Project,
  { wish, choice, signal }: FetchRequest,
  chosen: ChannelChoice,
  on: RealiseOptions["on"],
): Promise<boolean> {
  let plan = await downloadsOf(project, wish, chosen.channel);
  const places = downloads(project, choice.places, plan.evaluation);
  // downloads take no job tokens
  const options = await realisation(project, choice, chosen, places, { jobs: 1, signal, on });
  for (;;) {
    const { evaluation, fetches } = plan;
    const seed = await places.seedForCrates();
    if (seed !== undefined && !(await realise({ ...evaluation, targets: [seed] }, options)).ok) return false;
    if (!(await realise(fetches, options)).ok || signal.aborted) return false;
    if (evaluation.pending.length === 0) return true;
    // lock files in these outputs name more
    if (!(await realise({ ...evaluation, targets: evaluation.pending }, options)).ok) return false;
    plan = await downloadsOf(project, wish, chosen.channel);
    places.follow(plan.evaluation);
  }
}
