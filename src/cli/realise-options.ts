/** Options of commands that download, and what they mean. */
import type { NamedPlaces } from "../project/places.ts";
import type { RunChoice } from "../project/realisation.ts";
import { sourceOptions } from "./options.ts";

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
  ...sourceOptions,
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

export interface RealiseValues extends PlaceValues {
  readonly channel: string;
  readonly source: readonly string[];
  readonly "keep-going": boolean;
  readonly "accept-unverified": readonly string[];
  readonly json: boolean;
  readonly plain: boolean;
}

export const placesOf = (values: PlaceValues): NamedPlaces => ({
  debian: values["debian-mirror"],
  security: values["debian-security-mirror"],
  crates: values["crates-mirror"],
});

export const choiceOf = (values: RealiseValues): RunChoice => ({
  channel: values.channel,
  source: values.source,
  places: placesOf(values),
  keepGoing: values["keep-going"],
  acceptUnverified: values["accept-unverified"],
});
