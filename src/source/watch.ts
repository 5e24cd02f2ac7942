/**
 * What became known since the pins and `channels/advisories.json` were written: newer versions in a component's suites and
 * their security updates, fixes in the packaging archive that the pin has not, vulnerabilities that its changelog names.
 */
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import type { Channel, Component } from "../recipe/channel.ts";
import { pinnedOf, type Known, type KnownOfComponent } from "./advisories.ts";
import { compareDebianVersions } from "./debian-version.ts";
import { candidatesAt, packagingOf, placeOf, type Candidate } from "./lock.ts";
import { readPackaging } from "./packaging.ts";
import type { Archive } from "./signed-archive.ts";

export interface Finding {
  readonly name: string;
  readonly kind: "version" | "patch" | "advisory" | "unread";
  readonly what: string;
}

/** Of the named components, without names of all that the channel pins and the archive has. Throws what reading it throws. */
export async function news(
  archive: Archive,
  channel: Channel,
  known: Known,
  names: readonly string[] = [],
): Promise<Finding[]> {
  const all =
    names.length > 0 ? names : Object.keys(channel.components).filter((name) => name in (channel.places ?? {}));
  const findings: Finding[] = [];
  for (const name of all) {
    const candidates = await candidatesAt(archive, placeOf(channel, name));
    const pin = channel.components[name];
    if (pin === undefined) throw new Fault("E_COMPONENT", `the channel does not pin ${name}`);
    findings.push(...(await newerVersions(archive, name, candidates, pin)));
    findings.push(...(await unreadChanges(archive, name, candidates, pin, known[name])));
  }
  return findings;
}

async function newerVersions(
  archive: Archive,
  name: string,
  candidates: readonly Candidate[],
  pin: Component,
): Promise<Finding[]> {
  const newer = candidates.filter(({ upstream }) => compareDebianVersions(upstream, pin.version) > 0);
  const findings: Finding[] = [];
  for (const { upstream, suite, tarball } of newer) {
    const here = await archive.has(tarball);
    if (findings.length === 0 || here) {
      const where = here ? "" : "; no mirror has it yet";
      findings.push({ name, kind: "version", what: `${upstream} is in ${suite}, pinned is ${pin.version}${where}` });
    }
    if (here) break;
  }
  return findings;
}

/** The newest changelog holds those before it. */
async function unreadChanges(
  archive: Archive,
  name: string,
  candidates: readonly Candidate[],
  pin: Component,
  known: KnownOfComponent | undefined,
): Promise<Finding[]> {
  const isNews = (version: string): boolean =>
    known?.read === undefined || compareDebianVersions(version, known.read) > 0;
  const listed = new Set((known?.advisories ?? []).flatMap(({ ids }) => ids));
  const patches = new Set([
    ...pinnedOf(pin).patches,
    ...(known?.advisories ?? []).flatMap((advisory) => advisory.patches ?? []),
  ]);
  const findings: Finding[] = [];
  const told = new Set<string>();
  for (const candidate of candidates.filter(({ version }) => isNews(version))) {
    if (told.has(candidate.version)) continue;
    told.add(candidate.version);
    const file = packagingOf(candidate);
    const packaging = file === undefined ? "no packaging archive that can be read" : await read(archive, file);
    if (typeof packaging === "string") {
      findings.push({
        name,
        kind: "unread",
        what: `what changed in ${candidate.version} (${candidate.suite}): ${packaging}`,
      });
      continue;
    }
    const ids = packaging.changelog.filter(({ version }) => isNews(version)).flatMap((entry) => entry.ids);
    const unknown = [...new Set(ids)].filter((id) => !listed.has(id));
    if (unknown.length > 0)
      findings.push({ name, kind: "advisory", what: `${candidate.version} names ${unknown.join(", ")}` });
    const fixes = [...packaging.fixes].filter((patch) => !patches.has(patch));
    if (candidate.upstream === pin.version && fixes.length > 0)
      findings.push({ name, kind: "patch", what: `${candidate.version} has ${fixes.join(", ")}` });
    break;
  }
  return findings;
}

async function read(
  archive: Archive,
  file: NonNullable<ReturnType<typeof packagingOf>>,
): Promise<Awaited<ReturnType<typeof readPackaging>> | string> {
  const name = path.posix.basename(file.path);
  if (!(await archive.has(file))) return `no mirror has ${name}`;
  try {
    return await readPackaging(await archive.read(file), name);
  } catch (error) {
    if (error instanceof Fault && error.code === "E_ARCHIVE") return error.message;
    throw error;
  }
}
