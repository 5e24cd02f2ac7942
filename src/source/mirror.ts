/**
 * Where Debian mirrors are: from the command line, the environment, the machine's APT configuration (sources.list(5),
 * both the one-line and the deb822 format), or public ones.
 */
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { paragraphs } from "./control.ts";
import { PUBLIC_MIRRORS } from "./public-mirrors.ts";

export interface MirrorChoice {
  /** `--debian-mirror`, given any number of times. */
  readonly flags: readonly string[];
  /** ANVIL_DEBIAN_MIRROR: URLs separated by commas. */
  readonly environment: string | undefined;
  /** `--debian-security-mirror`, given any number of times. */
  readonly securityFlags?: readonly string[];
  /** ANVIL_DEBIAN_SECURITY_MIRROR: URLs separated by commas. */
  readonly securityEnvironment?: string | undefined;
  /** Folder of APT's configuration: /etc/apt. */
  readonly apt: string;
  /** Public mirrors, best first, asked for when nothing else names one. Throws E_NO_MIRROR. */
  readonly publicOnes: () => Promise<readonly string[]>;
}

/** Root URLs without a trailing slash, in order of preference and without repetition. */
export interface DebianMirrors {
  readonly archive: readonly string[];
  /** Of the archive of security updates, which has a pool of its own. */
  readonly security: readonly string[];
  /** The public mirrors were taken, because nothing here names one. */
  readonly isPublic: boolean;
}

/**
 * The mirrors. The flags win over the environment, that over APT's configuration, and that over the public mirrors. Throws
 * E_USAGE for a given URL that is not http or https, and what `publicOnes` throws.
 */
export async function debianMirrors(choice: MirrorChoice): Promise<DebianMirrors> {
  const named = given(choice.flags, "--debian-mirror") ?? given(listed(choice.environment), "ANVIL_DEBIAN_MIRROR");
  const namedSecurity =
    given(choice.securityFlags ?? [], "--debian-security-mirror") ??
    given(listed(choice.securityEnvironment), "ANVIL_DEBIAN_SECURITY_MIRROR");
  const apt = named === undefined || namedSecurity === undefined ? await aptMirrors(choice.apt) : noMirrors;
  const configured = named ?? (apt.archive.length > 0 ? apt.archive : undefined);
  const archive = configured ?? (await choice.publicOnes());
  const isPublic = configured === undefined;
  const besides = archive.map(securityRoot);
  // who names a mirror is asked for the updates there; APT has its own entries for them, or none on other systems
  const fromApt =
    apt.security.length > 0 ? [...apt.security, ...besides] : [...besides, ...PUBLIC_MIRRORS.map(securityRoot)];
  const security = namedSecurity ?? (named === undefined && !isPublic ? fromApt : besides);
  return { archive, security: unique(security), isPublic };
}

const noMirrors = { archive: [], security: [] };

/** Mirrors at these roots, with the archive of security updates beside each. */
export function mirrorsAt(archive: readonly string[]): DebianMirrors {
  return { archive, security: unique(archive.map(securityRoot)), isPublic: false };
}

/** Each mirror alone: who is behind must not hide that another is not. */
export function oneByOne({ archive, security, isPublic }: DebianMirrors): DebianMirrors[] {
  const count = Math.max(archive.length, security.length);
  const nth = (roots: readonly string[], index: number): string[] => roots.slice(0, index + 1).slice(-1);
  return Array.from({ length: count }, (_, index) => ({
    archive: nth(archive, index),
    security: nth(security, index),
    isPublic,
  }));
}

const listed = (text: string | undefined): string[] => (text ?? "").split(",").filter((url) => url.trim() !== "");

/** Undefined for none. */
function given(urls: readonly string[], where: string): string[] | undefined {
  if (urls.length === 0) return undefined;
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
export async function aptMirrors(apt: string): Promise<Pick<DebianMirrors, "archive" | "security">> {
  const parts = await readdir(path.join(apt, "sources.list.d")).catch(() => []);
  const files = ["sources.list", ...parts.sort().map((name) => path.join("sources.list.d", name))];
  const entries: AptEntry[] = [];
  for (const file of files) {
    const text = await readFile(path.join(apt, file), "utf8").catch(() => "");
    if (file.endsWith(".list")) entries.push(...oneLineEntries(text));
    if (file.endsWith(".sources")) entries.push(...deb822Entries(text));
  }
  const rootsOf = async (suite: RegExp): Promise<string[]> => {
    const uris = await Promise.all(
      entries.filter((entry) => isDebian(entry, suite)).flatMap(({ uris }) => uris.map(expandMirrorList)),
    );
    return unique(uris.flat().flatMap((uri) => mirrorRoot(uri) ?? []));
  };
  return { archive: await rootsOf(archiveSuite), security: await rootsOf(securitySuite) };
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
 * A configuration also names other vendors' archives: an archive of Debian is one that has a suite of Debian's with the
 * component main. Another that looks so does no harm, since every file is pinned: it does not have the file, and the next
 * mirror is asked.
 */
function isDebian({ suites, components }: AptEntry, suite: RegExp): boolean {
  return (
    components.some((component) => component === "main" || component === "updates/main") &&
    suites.some((name) => suite.test(name))
  );
}

const codeNames = "(?:(?:old){0,2}stable|testing|unstable|sid|buster|bullseye|bookworm|trixie|forky|duke)";
const archiveSuite = new RegExp(`^${codeNames}(?:-(?:proposed-)?updates|-backports(?:-sloppy)?)?$`);
const securitySuite = new RegExp(`^${codeNames}(?:-security|/updates)$`);

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
export function placesInMirrors(archive: string, mirrors: DebianMirrors): string[] {
  return (isSecurity(archive) ? mirrors.security : mirrors.archive).map((root) => `${root}/${archive}`);
}

/** Whether a path is one of the archive of security updates. */
export const isSecurity = (archive: string): boolean => /^(?:pool\/updates|dists\/[^/]+-security)\//.test(archive);

/** The root beside a mirror's `debian/`; a snapshot of a day has the day behind it. A root without that name is both. */
function securityRoot(mirror: string): string {
  return mirror.replace(/\/debian(?=$|\/\d{8}T\d{6}Z$)/, "/debian-security");
}
