/** What commands share that realise a plan: options, mirrors, signals. */
import path from "node:path";
import { Downloads, mirrorsOf } from "../forge/downloads.ts";
import type { Evaluation } from "../forge/evaluate.ts";
import { httpClient } from "../source/http.ts";
import type { DebianMirrors, MirrorChoice } from "../source/mirror.ts";
import type { Environment, Project } from "../project/project.ts";
import { channelOptions } from "./command.ts";

export const mirrorOptions = {
  "debian-mirror": { type: "string", multiple: true, default: [] as string[] },
  "debian-security-mirror": { type: "string", multiple: true, default: [] as string[] },
} as const;

export const cratesOptions = {
  "crates-mirror": { type: "string", multiple: true, default: [] as string[] },
} as const;

/** Lines of `--help` about them. */
export const mirrorHelp = `
  --debian-mirror <url>       root of a Debian mirror; may be repeated (default: ANVIL_DEBIAN_MIRROR, else this
                              machine's APT configuration, else public mirrors)
  --debian-security-mirror <url>
                              the same for security updates (default: ANVIL_DEBIAN_SECURITY_MIRROR, else APT's
                              configuration, else debian-security/ beside each mirror's debian/)
`.trim();

export const cratesHelp = `
  --crates-mirror <url>       sparse index of a registry of Rust crates; may be repeated (default: ANVIL_CRATES_MIRROR,
                              else this machine's cargo configuration, else the registry that cargo itself knows)
`.trim();

export const realiseOptions = {
  ...channelOptions,
  ...mirrorOptions,
  ...cratesOptions,
  "keep-going": { type: "boolean", default: false },
  "accept-unverified": { type: "string", multiple: true, default: [] as string[] },
  json: { type: "boolean", default: false },
  plain: { type: "boolean", default: false },
} as const;

export interface MirrorValues {
  readonly "debian-mirror": readonly string[];
  readonly "debian-security-mirror": readonly string[];
}

export interface PlaceValues extends MirrorValues {
  readonly "crates-mirror": readonly string[];
}

function mirrorChoice(values: MirrorValues, env: Environment): Omit<MirrorChoice, "publicOnes"> {
  return {
    flags: values["debian-mirror"],
    environment: env["ANVIL_DEBIAN_MIRROR"],
    securityFlags: values["debian-security-mirror"],
    securityEnvironment: env["ANVIL_DEBIAN_SECURITY_MIRROR"],
    apt: "/etc/apt",
  };
}

/** Debian mirrors, best first. Throws E_NO_MIRROR, and E_USAGE for what is not a URL. */
export function mirrors(values: MirrorValues, { store, env }: Project): Promise<DebianMirrors> {
  return mirrorsOf({ store, client: httpClient(), mirrors: mirrorChoice(values, env) });
}

/** Where an evaluation's downloads come from. */
export function downloads(values: PlaceValues, { store, env, home }: Project, evaluation: Evaluation): Downloads {
  return new Downloads(evaluation, {
    store,
    client: httpClient(),
    mirrors: mirrorChoice(values, env),
    crates: {
      flags: values["crates-mirror"],
      environment: env["ANVIL_CRATES_MIRROR"],
      cargoHome: env["CARGO_HOME"] ?? path.join(home, ".cargo"),
    },
    env,
  });
}

export interface Interrupt {
  readonly signal: AbortSignal;
  close(): void;
}

/** The first signal stops the run in order; a second one ends the process at once. */
export function onInterrupt(): Interrupt {
  const controller = new AbortController();
  const stop = (): void => (controller.signal.aborted ? process.exit(130) : controller.abort());
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, stop);
  return {
    signal: controller.signal,
    close: () => ["SIGINT", "SIGTERM", "SIGHUP"].forEach((signal) => process.off(signal, stop)),
  };
}
