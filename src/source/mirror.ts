/**
 * Where Debian mirrors are: from the command line, the environment, or the machine's APT configuration
 * (sources.list(5), both the one-line and the deb822 format).
 */
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { paragraphs } from "./control.ts";

export interface MirrorChoice {
  /** `--debian-mirror`, given any number of times. */
  readonly flags: readonly string[];
  /** ANVIL_DEBIAN_MIRROR: URLs separated by commas. */
  readonly environment: string | undefined;
  /** Folder of APT's configuration: /etc/apt. */
  readonly apt: string;
}

/**
 * Root URLs of Debian mirrors without a trailing slash, in order of preference and without repetition. The flags win
 * over the environment, that over APT's configuration. Throws E_NO_MIRROR when nothing names one, E_USAGE for a given
 * URL that is not http or https.
 */
export async function debianMirrors(choice: MirrorChoice): Promise<string[]> {
  const fromEnvironment = (choice.environment ?? "").split(",").filter((url) => url.trim() !== "");
  if (choice.flags.length > 0) return given(choice.flags, "--debian-mirror");
  if (fromEnvironment.length > 0) return given(fromEnvironment, "ANVIL_DEBIAN_MIRROR");
  const mirrors = await aptMirrors(choice.apt);
  if (mirrors.length > 0) return mirrors;
  throw new Fault("E_NO_MIRROR", "no Debian mirror is known", {
    details: [`${choice.apt} names none`],
    hint: "name one with --debian-mirror <url> or ANVIL_DEBIAN_MIRROR=<url>",
  });
}

function given(urls: readonly string[], where: string): string[] {
  return unique(
    urls.map((text) => {
      const root = mirrorRoot(text.trim());
      if (root === undefined) {
        throw new Fault("E_USAGE", `${where}: "${text}" is not an http or https URL`);
      }
      return root;
    }),
  );
}

/** Debian mirrors that an APT configuration folder names; files are read in APT's order. A missing folder has none. */
export async function aptMirrors(apt: string): Promise<string[]> {
  const parts = await readdir(path.join(apt, "sources.list.d")).catch(() => []);
  const files = ["sources.list", ...parts.sort().map((name) => path.join("sources.list.d", name))];
  const entries: AptEntry[] = [];
  for (const file of files) {
    const text = await readFile(path.join(apt, file), "utf8").catch(() => "");
    if (file.endsWith(".list")) entries.push(...oneLineEntries(text));
    if (file.endsWith(".sources")) entries.push(...deb822Entries(text));
  }
  const uris = await Promise.all(entries.filter(isDebian).flatMap(({ uris }) => uris.map(expandMirrorList)));
  return unique(uris.flat().flatMap((uri) => mirrorRoot(uri) ?? []));
}

interface AptEntry {
  readonly uris: readonly string[];
  readonly suites: readonly string[];
  readonly components: readonly string[];
}

/** `deb [arch=amd64 signed-by=…] <uri> <suite> <component>…`; the options may hold blanks. */
function oneLineEntries(text: string): AptEntry[] {
  return text.split("\n").flatMap((line) => {
    const match = /^\s*deb(?:-src)?\s+(?:\[[^\]]*\]\s*)?(\S+)\s+(\S+)\s+(\S.*)$/.exec(line.replace(/#.*/, ""));
    if (match === null) return [];
    const [, uri = "", suite = "", components = ""] = match;
    return [{ uris: [uri], suites: [suite], components: words(components) }];
  });
}

function deb822Entries(text: string): AptEntry[] {
  return [...paragraphs(text)].flatMap((fields) => {
    const off = /^(?:no|false|without|off|disable|0)$/i.test(fields.get("enabled") ?? "yes");
    if (off) return [];
    return [
      {
        uris: words(fields.get("uris")),
        suites: words(fields.get("suites")),
        components: words(fields.get("components")),
      },
    ];
  });
}

function words(field: string | undefined): string[] {
  return (field ?? "").split(/\s+/).filter((word) => word !== "");
}

/**
 * A configuration also names other vendors' archives and Debian's security archive, which has a pool of its own: an
 * archive of Debian is one that has a suite of Debian's with the component main. Another that looks so does no harm,
 * since every file is pinned: it does not have the file, and the next mirror is asked.
 */
function isDebian({ suites, components }: AptEntry): boolean {
  return components.includes("main") && suites.some((suite) => debianSuite.test(suite));
}

const debianSuite =
  /^(?:(?:old){0,2}stable|testing|unstable|sid|buster|bullseye|bookworm|trixie|forky|duke)(?:-(?:proposed-)?updates|-backports(?:-sloppy)?)?$/;

/** The URLs in a `mirror+file:/path` list (apt-transport-mirror(1)); any other URI as it is. */
async function expandMirrorList(uri: string): Promise<string[]> {
  const file = /^mirror\+file:(?:\/\/)?(\/.*)$/.exec(uri)?.[1];
  if (file === undefined) return [uri];
  const text = await readFile(file, "utf8").catch(() => "");
  return text.split("\n").flatMap((line) => {
    // "<url>\t<metadata>", where the metadata gives a priority
    const url = line.replace(/#.*/, "").trim().split(/\s+/)[0];
    return url === undefined || url === "" ? [] : [url];
  });
}

function mirrorRoot(uri: string): string | undefined {
  if (!URL.canParse(uri)) return undefined;
  return /^https?:\/\//.test(uri) ? uri.replace(/\/+$/, "") : undefined;
}

function unique(urls: readonly string[]): string[] {
  return [...new Set(urls)];
}

/**
 * URLs of a file by its path below the archive's root. Debian's security updates are an archive of their own, with
 * `pool/updates/` and suites that end in `-security`; mirrors keep it in `debian-security/` beside `debian/`.
 */
export function placesInMirrors(archive: string, mirrors: readonly string[]): string[] {
  const roots = isSecurity.test(archive) ? mirrors.map(securityRoot) : mirrors;
  return unique(roots.map((root) => `${root}/${archive}`));
}

const isSecurity = /^(?:pool\/updates|dists\/[^/]+-security)\//;

function securityRoot(mirror: string): string {
  return mirror.replace(/\/debian$/, "/debian-security");
}
