/**
 * What is known of vulnerabilities in the components: `channels/advisories.json`, an object by component. Whether one is
 * fixed is not written there but found: by the pinned version, or by the patches that the pin names.
 */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";
import type { Channel, Component } from "../recipe/channel.ts";
import { Checker } from "./channel-shape.ts";
import { compareDebianVersions } from "./debian-version.ts";

export interface Advisory {
  /** `CVE-2026-40200`, or another name where there is no number. Several for what one release or reason settles. */
  readonly ids: readonly string[];
  readonly what: string;
  /** Day on which it was published, or on which its source says so. */
  readonly date: string;
  /** Where this is from. */
  readonly source: string;
  /** First version that has it; all when absent. */
  readonly since?: string;
  /** First fixed version of each series. */
  readonly fixedIn?: readonly string[];
  /** Patches that fix it together, as channels name them (`patches/<name>`). */
  readonly patches?: readonly string[];
  /** Why what is built here does not have it, whatever the version. */
  readonly notAffected?: string;
  /** What it means here, and why it is open. */
  readonly remark?: string;
}

export interface KnownOfComponent {
  /** The day on which somebody looked. */
  readonly looked: string;
  /** The newest Debian version whose changelog was read; later entries are news for `anvil lock --check`. */
  readonly read?: string;
  /** It is a package of the seed that ends up in the result: the boot loader. */
  readonly seed?: true;
  readonly advisories: readonly Advisory[];
}

export type Known = Readonly<Record<string, KnownOfComponent>>;

/** What of a pin decides. */
export type Pinned = Pick<Component, "version"> & {
  /** Names of the patches that are applied. */
  readonly patches: readonly string[];
};

export type Standing =
  | { readonly status: "fixed"; readonly by: string }
  | { readonly status: "not affected"; readonly why: string }
  | { readonly status: "open"; readonly why?: string };

export type AuditedAdvisory = Pick<Advisory, "ids" | "what" | "date" | "source"> & Standing;

export interface ComponentAudit {
  readonly component: string;
  readonly version: string;
  /** The day on which somebody looked; absent for a component that nobody looked at. */
  readonly looked?: string;
  readonly advisories: readonly AuditedAdvisory[];
}

const file = path.join("channels", "advisories.json");

/** Throws E_CHANNEL for a file that is not there or has another shape; the message names the JSON path. */
export async function loadAdvisories(projectRoot: string): Promise<Known> {
  try {
    return checkAdvisories(JSON.parse(await readFile(path.join(projectRoot, file), "utf8")), file);
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault("E_CHANNEL", `${file} cannot be read: ${errno(cause) ?? (cause as Error).message}`, { cause });
  }
}

/** Throws E_CHANNEL. `file` is what messages call it. */
export function checkAdvisories(value: unknown, file: string): Known {
  return new Checker(file, "$", value).each((at) => {
    at.only("looked", "read", "seed", "advisories");
    const read = at.optional("read")?.text();
    const seed = at.optional("seed")?.truth();
    return {
      looked: day(at.get("looked")),
      ...(read !== undefined && { read }),
      ...(seed !== undefined && { seed }),
      advisories: at.get("advisories").list(checkAdvisory),
    };
  });
}

function checkAdvisory(at: Checker): Advisory {
  at.only("ids", "what", "date", "source", "since", "fixedIn", "patches", "notAffected", "remark");
  const optional = {
    since: at.optional("since")?.text(),
    fixedIn: at.optional("fixedIn")?.list((each) => each.text()),
    patches: at.optional("patches")?.list((each) => each.archivePath()),
    notAffected: at.optional("notAffected")?.text(),
    remark: at.optional("remark")?.text(),
  };
  return {
    ids: at
      .get("ids")
      .list((each) => each.matching(/^[A-Za-z0-9][A-Za-z0-9.-]+$/, "an identifier such as CVE-2026-1234")),
    what: at.get("what").text(),
    date: day(at.get("date")),
    source: at.get("source").text(),
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
  };
}

const day = (at: Checker): string => at.matching(/^\d{4}-\d\d-\d\d$/, "a day such as 2026-11-30");

/** What decides of a component's pin. */
export const pinnedOf = ({ version, patches = [] }: Component): Pinned => ({
  version,
  patches: patches.flatMap(({ files }) => files),
});

/** What a channel pins: packages of these seeds, and the components with these names. */
export function pinsOf(channel: Channel, names: readonly string[], seeds: readonly string[]): Map<string, Pinned> {
  const pins = new Map<string, Pinned>();
  for (const name of seeds)
    for (const each of channel.seeds[name] ?? []) pins.set(each.package, { version: each.version, patches: [] });
  for (const name of names) {
    const component = channel.components[name];
    if (component !== undefined) pins.set(name, pinnedOf(component));
  }
  return pins;
}

/** How the named components stand, and those packages of seeds that end up in the result; by name. */
export function audit(
  pins: ReadonlyMap<string, Pinned>,
  known: Known,
  components: readonly string[],
): ComponentAudit[] {
  return [...pins]
    .filter(([name]) => components.includes(name) || known[name]?.seed === true)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, pin]) => auditOf(name, pin, known[name]));
}

function auditOf(component: string, pin: Pinned, known: KnownOfComponent | undefined): ComponentAudit {
  return {
    component,
    version: pin.version,
    ...(known !== undefined && { looked: known.looked }),
    advisories: (known?.advisories ?? []).map((advisory) => {
      const { ids, what, date, source } = advisory;
      return { ids, what, date, source, ...standing(advisory, pin) };
    }),
  };
}

/** Not yet there, else fixed by version, else by patches, else not affected; open otherwise. */
export function standing(advisory: Advisory, pin: Pinned): Standing {
  const { since, fixedIn = [], patches = [], notAffected, remark } = advisory;
  if (since !== undefined && compareDebianVersions(pin.version, since) < 0)
    return { status: "not affected", why: `versions before ${since} do not have it` };
  if (isFixedIn(fixedIn, pin.version)) return { status: "fixed", by: `version ${pin.version}` };
  if (patches.length > 0 && patches.every((patch) => pin.patches.includes(patch)))
    return { status: "fixed", by: patches.join(", ") };
  if (notAffected !== undefined) return { status: "not affected", why: notAffected };
  return { status: "open", ...(remark !== undefined && { why: remark }) };
}

/** At least the fixed version of its own series, or the newest of them all. */
function isFixedIn(fixed: readonly string[], version: string): boolean {
  const newest = [...fixed].sort(compareDebianVersions).at(-1);
  if (newest === undefined) return false;
  const own = fixed.find((each) => series(each) === series(version)) ?? newest;
  return compareDebianVersions(version, own) >= 0;
}

/** `3.0.22` is of 3.0, `15.20` of 15. */
const series = (version: string): string => version.replace(/[.-][^.-]*$/, "");
