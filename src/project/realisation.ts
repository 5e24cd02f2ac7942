/** What every run has in common that makes something of a plan. */
import type { Downloads } from "../forge/downloads.ts";
import type { RealiseOptions } from "../forge/forge.ts";
import type { ChannelChoice } from "../source/channel-choice.ts";
import type { Profile } from "../ui/profile.ts";
import type { View } from "../ui/view.ts";
import type { NamedPlaces } from "./places.ts";
import type { Project, SourceValues } from "./project.ts";

/** How a run is to go. */
export interface RunChoice extends SourceValues {
  readonly places: NamedPlaces;
  /** After a failure go on with what does not depend on it. */
  readonly keepGoing: boolean;
  /** Components whose doubtful pins are taken. */
  readonly acceptUnverified: readonly string[];
}

/** Opens what shows the events of a run; with what earlier runs took, it can say how far this one is. */
export type OpenView = (profile?: Profile) => View;

type Rest = Pick<RealiseOptions, "jobs" | "signal" | "on"> & Partial<Pick<RealiseOptions, "expected" | "limits">>;

/** Says in the run's first line where downloads come from. Throws E_NO_MIRROR. */
export async function realisation(
  project: Project,
  { keepGoing, acceptUnverified }: Pick<RunChoice, "keepGoing" | "acceptUnverified">,
  { channel, why }: ChannelChoice,
  places: Downloads,
  rest: Rest,
): Promise<RealiseOptions> {
  const note = await places.note();
  return {
    project: project.root,
    store: project.store,
    why: note === "" ? why : `${why}; ${note}`,
    keepGoing,
    acceptUnverified: new Set(acceptUnverified),
    mirrors: places.mirrors,
    crates: places.crates,
    onPin: (component, sha256) => project.keepPin(channel, component, sha256),
    expected: new Map(),
    ...rest,
  };
}
