/** Where the downloads of a project come from. */
import path from "node:path";
import { Downloads, mirrorsOf } from "../forge/downloads.ts";
import type { Evaluation } from "../forge/evaluate.ts";
import { httpClient } from "../source/http.ts";
import type { DebianMirrors, MirrorChoice } from "../source/mirror.ts";
import type { Project } from "./project.ts";

/** URLs that the user has named for this run, in the order in which they are asked. */
export interface NamedPlaces {
  readonly debian: readonly string[];
  readonly security: readonly string[];
  readonly crates: readonly string[];
}

function mirrorChoice(
  { debian, security }: Omit<NamedPlaces, "crates">,
  { env }: Project,
): Omit<MirrorChoice, "publicOnes"> {
  return {
    flags: debian,
    environment: env["ANVIL_DEBIAN_MIRROR"],
    securityFlags: security,
    securityEnvironment: env["ANVIL_DEBIAN_SECURITY_MIRROR"],
    apt: "/etc/apt",
  };
}

/** Debian mirrors, best first. Throws E_NO_MIRROR, and E_USAGE for what is not a URL. */
export function mirrors(project: Project, named: Omit<NamedPlaces, "crates">): Promise<DebianMirrors> {
  return mirrorsOf({ store: project.store, client: httpClient(), mirrors: mirrorChoice(named, project) });
}

/** Where an evaluation's downloads come from. */
export function downloads(project: Project, named: NamedPlaces, evaluation: Evaluation): Downloads {
  const { store, env, home } = project;
  return new Downloads(evaluation, {
    store,
    client: httpClient(),
    mirrors: mirrorChoice(named, project),
    crates: {
      flags: named.crates,
      environment: env["ANVIL_CRATES_MIRROR"],
      cargoHome: env["CARGO_HOME"] ?? path.join(home, ".cargo"),
    },
    env,
  });
}
