/** Whether the places answer that downloads come from. */
import { Fault } from "../fault/fault.ts";
import type { Downloads } from "../forge/downloads.ts";
import { hostsOf } from "../forge/places.ts";
import type { Channel } from "../recipe/channel.ts";
import { loadChannel } from "../source/channel.ts";
import { crateUrl } from "../source/crates-mirror.ts";
import { describeNetworkError, withoutCredentials } from "../source/http-error.ts";
import { httpClient } from "../source/http.ts";
import type { DebianMirrors } from "../source/mirror.ts";
import { seedSuite } from "../source/seed-suites.ts";
import { fail, failure, ok, warn, type Verdict } from "./finding.ts";
import type { Project } from "./project.ts";

/** Milliseconds that a site has to answer. */
const SITE_LIMIT = 5000;

export function proxy(): Verdict {
  try {
    const used = ["http", "https"].flatMap((scheme) => {
      const found = httpClient().proxyFor(new URL(`${scheme}://host.invalid/`));
      return found === undefined ? [] : [`${scheme} by ${found.shown} (${found.source})`];
    });
    return ok(used.length === 0 ? "none is named" : used.join(", "));
  } catch (error) {
    return failure(error);
  }
}

/** A value, or what its fault is as a finding. */
export async function asVerdict<T>(ask: () => Promise<T>): Promise<T | Verdict> {
  try {
    return await ask();
  } catch (error) {
    return failure(error);
  }
}

const notNeeded = "what is here already needs none";

const both = (hint: string | undefined): string =>
  hint === undefined || hint === "" ? notNeeded : `${hint}; ${notNeeded}`;

/** How many of the places answer. One that answers is enough for a forge, so that the others are a warning. */
async function answering(urls: readonly string[], needed: boolean, hint: string): Promise<Verdict> {
  const asked = await Promise.all(urls.map(async (url) => ({ url, problem: await silence(url) })));
  const silent = byProblem(asked.filter(({ problem }) => problem !== undefined));
  const answers = asked.filter(({ problem }) => problem === undefined).length;
  if (answers === 0) return needed ? fail(silent, hint) : warn(silent, both(hint));
  const found = `${answers} of ${asked.length} answer`;
  return silent === "" ? ok(found) : warn(`${found}; ${silent}`, "the others are asked first or next");
}

/** Those with the same problem together. */
function byProblem(asked: readonly { readonly url: string; readonly problem: string | undefined }[]): string {
  const groups = new Map<string, string[]>();
  for (const { url, problem = "" } of asked) groups.set(problem, [...(groups.get(problem) ?? []), siteOf(url)]);
  return [...groups]
    .map(([problem, [first, ...more]]) => `${first}${more.length > 0 ? ` and ${more.length} more` : ""}: ${problem}`)
    .join("; ");
}

export async function archive(
  mirrors: DebianMirrors | Verdict,
  which: "archive" | "security",
  needed: boolean,
): Promise<Verdict> {
  if ("level" in mirrors) {
    const found = which === "archive" ? mirrors.found : "none is known, as no mirror is";
    return needed ? fail(found, mirrors.hint ?? "") : warn(found, both(mirrors.hint));
  }
  const suite = which === "archive" ? seedSuite : `${seedSuite}-security`;
  const flag = which === "archive" ? "--debian-mirror" : "--debian-security-mirror";
  const verdict = await answering(
    mirrors[which].map((root) => `${root}/dists/${suite}/InRelease`),
    needed,
    `check the network, or name another with ${flag} <url>`,
  );
  if (!mirrors.isPublic) return verdict;
  return {
    ...verdict,
    found: `${verdict.found}; public ones, as none is named here: ${hostsOf(mirrors[which]).join(", ")}`,
  };
}

/** The sites where the sources of the channel with the design's own versions are released. */
export async function upstream(project: Project, needed: boolean): Promise<Verdict> {
  let channel: Channel;
  try {
    channel = await loadChannel(project.root, "rfc-0054");
  } catch (error) {
    return failure(error);
  }
  const urls = Object.values(channel.components).flatMap((component) => component.urls ?? []);
  const sites = new Map(urls.map((url) => [new URL(url).origin, url]));
  const hint = "channel debian takes all sources from a Debian mirror";
  const verdict = await answering([...sites.values()], needed, hint);
  return verdict.level === "warn" ? { ...verdict, hint } : verdict;
}

export async function crates(places: Downloads, { crates: lists = {} }: Channel): Promise<Verdict> {
  const [crate] = Object.values(lists).flat();
  if (crate === undefined) return ok("the channel pins none");
  const hint = "only the ingot vmm needs it; --crates-mirror <url> names another";
  try {
    const named = await places.namedRegistries();
    if (named === undefined && !places.canAskCargo())
      return warn("cargo's own registry; not tried yet", "anvil forge seed-rust brings cargo; " + hint);
    const templates = named ?? (await places.crates());
    const verdict = await answering(
      templates.map((template) => crateUrl(template, crate)),
      false,
      hint,
    );
    return {
      ...verdict,
      found: `${verdict.found}${named === undefined ? "; cargo's own registry" : ""}`,
      ...(verdict.level === "ok" ? {} : { hint }),
    };
  } catch (error) {
    const { found } = failure(error);
    return warn(found, hint);
  }
}

/** Why a place is of no use, or undefined when it has what is asked for. */
async function silence(url: string): Promise<string | undefined> {
  try {
    const response = await httpClient().request(url, { method: "HEAD", limit: SITE_LIMIT });
    response.discard();
    // a site that does not take the method is there
    return response.status < 300 || response.status === 405 ? undefined : `HTTP status ${response.status}`;
  } catch (error) {
    return error instanceof Fault ? `${error.code} ${error.message}` : describeNetworkError(error);
  }
}

/** The root of a mirror, or a site, without the name and password that the URL may hold. */
function siteOf(url: string): string {
  const shown = withoutCredentials(url);
  return shown.includes("/dists/") ? shown.replace(/\/dists\/.*$/, "") : new URL(shown).origin;
}
