/** Versions of a component in what its author publishes about them: listings, pages, lists of checksums, refs of git. */
import type { Release } from "../recipe/channel.ts";
import { compareDebianVersions } from "./debian-version.ts";

type Naming = Pick<Release, "entry" | "series" | "urls">;

/** A template with a version in its place. */
export function fill(template: string, version: string, series = ""): string {
  return template.replaceAll("{version}", version).replaceAll("{rest}", version.slice(series.length));
}

/**
 * The versions of the series that a text names, newest first, each once. One with a mark such as `-rc1` or `.beta` after it
 * is no release. A text of any form will do, because a version counts only where the whole name is as the entry says.
 */
export function versionsIn(text: string, release: Naming): string[] {
  const { series = "" } = release;
  const entry = entryOf(release);
  const found = new Set<string>();
  for (const match of text.matchAll(patternOf(entry))) {
    const { version, rest } = match.groups ?? {};
    const whole = version ?? `${series}${rest ?? ""}`;
    if (whole.startsWith(series)) found.add(whole);
  }
  return [...found].sort((a, b) => compareDebianVersions(b, a));
}

/** How a version is named in the list. */
export function entryOf({ entry, urls }: Naming): string {
  return entry ?? (urls[0] ?? "").replace(/^.*\//, "");
}

const NUMBER = "[0-9]+(?:\\.[0-9]+)*[a-z]?";

function patternOf(entry: string): RegExp {
  const seen = new Set<string>();
  const parts = entry.split(/(\{version\}|\{rest\})/).map((part) => {
    const name = /^\{(version|rest)\}$/.exec(part)?.[1];
    if (name === undefined) return part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    if (seen.has(name)) return `\\k<${name}>`;
    seen.add(name);
    return `(?<${name}>${NUMBER})`;
  });
  // what goes on is another name; a folder's ends with its slash
  const end = entry.endsWith("/") ? "" : "(?![0-9A-Za-z_+~-]|\\.[0-9A-Za-z])";
  return new RegExp(`(?<![0-9A-Za-z_.+~-])${parts.join("")}${end}`, "g");
}
