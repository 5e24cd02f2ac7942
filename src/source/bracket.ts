/**
 * Between which built versions those of a channel lie whose sources cannot be had everywhere: of each of its components
 * the nearest older and the nearest newer one that another channel was built with.
 */
import type { Channel } from "../recipe/channel.ts";
import { compareDebianVersions } from "./debian-version.ts";

/** A channel that was built, with the versions of those components that what was built is made of. */
export interface BuiltChannel {
  readonly name: string;
  readonly versions: Readonly<Record<string, string>>;
}

export interface BuiltVersion {
  readonly version: string;
  /** Names of the channels that were built with it. */
  readonly channels: readonly string[];
}

export interface Bracket {
  readonly component: string;
  readonly version: string;
  /** Built in the very same version, from whatever archive. */
  readonly same: BuiltVersion | undefined;
  readonly older: BuiltVersion | undefined;
  readonly newer: BuiltVersion | undefined;
}

/** By component, sorted by name. */
export function brackets({ components }: Pick<Channel, "components">, built: readonly BuiltChannel[]): Bracket[] {
  return Object.entries(components)
    .map(([component, { version }]) => bracketOf(component, version, built))
    .sort((a, b) => (a.component < b.component ? -1 : 1));
}

function bracketOf(component: string, version: string, built: readonly BuiltChannel[]): Bracket {
  const found = builtVersions(component, built);
  const order = (each: BuiltVersion): number => compareDebianVersions(each.version, version);
  return {
    component,
    version,
    same: found.find((each) => order(each) === 0),
    older: found.filter((each) => order(each) < 0).at(-1),
    newer: found.find((each) => order(each) > 0),
  };
}

/** Oldest first. */
function builtVersions(component: string, built: readonly BuiltChannel[]): BuiltVersion[] {
  const channels = new Map<string, string[]>();
  for (const { name, versions } of built) {
    const version = versions[component];
    if (version !== undefined) channels.set(version, [...(channels.get(version) ?? []), name]);
  }
  return [...channels]
    .map(([version, names]) => ({ version, channels: names }))
    .sort((a, b) => compareDebianVersions(a.version, b.version));
}

/** Whether certainty about it comes from what was built: the same version was, or one on either side. */
export function isBracketed({ same, older, newer }: Bracket): boolean {
  return same !== undefined || (older !== undefined && newer !== undefined);
}

/** A table in Markdown; `title` is the channel's name. */
export function bracketTable(title: string, rows: readonly Bracket[]): string {
  const lines = [
    ["component", title, "the same, built in", "nearest older", "nearest newer"],
    ["---", "---", "---", "---", "---"],
    ...rows.map(({ component, version, same, older, newer }) => [
      component,
      version,
      same?.channels.join(", ") ?? "–",
      described(older),
      described(newer),
    ]),
  ];
  return `${lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n")}\n`;
}

const described = (built: BuiltVersion | undefined): string =>
  built === undefined ? "–" : `${built.version} (${built.channels.join(", ")})`;
