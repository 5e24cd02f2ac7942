/**
 * Whether what a plan will have to download is there, asked before anything is built: a compile of an hour must not end
 * at a file that no place has.
 */
import { Fault } from "../fault/fault.ts";
import type { Channel } from "../recipe/channel.ts";
import type { FetchDerivation } from "../recipe/derivation.ts";
import { crateUrl } from "../source/crates-mirror.ts";
import { urlsFor } from "../source/fetch.ts";
import { describeNetworkError, HttpError, withoutCredentials } from "../source/http-error.ts";
import type { HttpClient } from "../source/http.ts";
import { isSecurity, type DebianMirrors } from "../source/mirror.ts";

/** Where downloads come from. Each is asked for when something from there is due. */
export interface Places {
  /** Throws E_NO_MIRROR. */
  readonly mirrors: () => Promise<DebianMirrors>;
  /** Download templates of registries of Rust crates, best first. Throws E_NO_CRATES_MIRROR. */
  readonly crates: () => Promise<readonly string[]>;
}

/** What a run downloads, by where it comes from. */
export type PlaceKind = "Debian archive" | "Debian security archive" | "release sites" | "registry of crates";

export function placeKind({ crate, archive }: FetchDerivation): PlaceKind {
  if (crate !== undefined) return "registry of crates";
  if (archive === undefined) return "release sites";
  return isSecurity(archive) ? "Debian security archive" : "Debian archive";
}

/** Places of a file, best first. Throws what asking for mirrors and registries throws. */
export async function placesOf(fetch: FetchDerivation, places: Places): Promise<string[]> {
  const { crate, version, sha256, archive } = fetch;
  if (crate === undefined) return urlsFor(fetch, archive === undefined ? undefined : await places.mirrors());
  return (await places.crates()).map((template) => crateUrl(template, { crate, version, sha256: sha256 ?? "" }));
}

/** Why one file cannot be had. */
interface Absent {
  readonly fetch: FetchDerivation;
  readonly why: string;
  /** Further lines about it. */
  readonly details: readonly string[];
  /** Every place that was asked says that there is no such file. */
  readonly isGone: boolean;
  /** What to do, if it is not to name another place. */
  readonly hint?: string | undefined;
}

/** Why there is nothing at a URL. */
interface Reason {
  readonly why: string;
  readonly hint?: string | undefined;
}

/** How many files are asked for at once. */
const ASKED_AT_ONCE = 16;
/** Milliseconds for an answer: longer than a connection may take, so that silence is told from slowness. */
const ANSWER_LIMIT = 20_000;

/**
 * A fault E_UNAVAILABLE with a line for each file of these that no place has, or each group of them that fails for the same
 * reason; undefined when all can be had. `signal` ends the questions: then the result says nothing.
 */
export async function unavailable(
  fetches: readonly FetchDerivation[],
  places: Places,
  { client, signal, superseded }: Questions,
): Promise<Fault | undefined> {
  const question = new Question(client, signal);
  const absent: Absent[] = [];
  const queue = [...fetches];
  const work = async (): Promise<void> => {
    for (let fetch = queue.shift(); fetch !== undefined; fetch = queue.shift()) {
      const found = await question.absent(fetch, places);
      if (found !== undefined) absent.push(found);
    }
  };
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, work));
  if (absent.length === 0 || signal.aborted) return undefined;
  const order = new Map(fetches.map((fetch, index) => [fetch, index]));
  absent.sort((a, b) => (order.get(a.fetch) ?? 0) - (order.get(b.fetch) ?? 0));
  return new Fault("E_UNAVAILABLE", `${absent.length} of ${fetches.length} files that are needed cannot be had`, {
    details: describe(absent),
    hint: hintFor(absent, superseded),
  });
}

interface Questions {
  readonly client: HttpClient;
  readonly signal: AbortSignal;
  readonly superseded: Superseded;
}

/** What to do about files that newer ones took the place of; undefined for files that `anvil lock` does not pin. */
export type Superseded = (fetches: readonly FetchDerivation[]) => string | undefined;

class Question {
  /** What is wrong with sites that did not answer at all: they are asked once. */
  private readonly dead = new Map<string, Reason>();

  constructor(
    private readonly client: HttpClient,
    private readonly signal: AbortSignal,
  ) {}

  async absent(fetch: FetchDerivation, places: Places): Promise<Absent | undefined> {
    let urls: readonly string[];
    try {
      urls = await placesOf(fetch, places);
    } catch (error) {
      if (!(error instanceof Fault) || error.code === "E_USAGE") throw error;
      const { code, message, details, hint } = error;
      return { fetch, why: `${code} ${message}`, details, isGone: false, hint };
    }
    if (urls.length === 0) return { fetch, why: "no place is known that has it", details: [], isGone: false };
    const reasons: (Reason & { readonly url: string })[] = [];
    for (const url of urls) {
      if (this.signal.aborted) return undefined;
      const reason = await this.ask(url);
      if (reason === undefined) return undefined;
      reasons.push({ ...reason, url });
    }
    const why = reasons.map(({ url, why }) => `${new URL(url).host}: ${why}`).join("; ");
    const hint = reasons.every((reason) => reason.hint !== undefined) ? reasons[0]?.hint : undefined;
    return { fetch, why, details: [], isGone: reasons.every(({ why }) => isGone(why)), hint };
  }

  /** Undefined when there is something at a URL, or nobody can tell. */
  private async ask(url: string): Promise<Reason | undefined> {
    const { origin } = new URL(url);
    const known = this.dead.get(origin);
    if (known !== undefined) return known;
    const head = await this.status(url, "HEAD");
    if (typeof head === "object") {
      this.dead.set(origin, head);
      return head;
    }
    if (head === undefined || mayBeThere(head)) return undefined;
    // some sites refuse the method, or sign their links for another one
    const status = head === 404 || head === 410 ? head : await this.status(url, "GET");
    if (typeof status === "object") return status;
    return status === undefined || mayBeThere(status) ? undefined : { why: `HTTP status ${status}` };
  }

  /** A reason says why there was no response; undefined: no answer in time. */
  private async status(url: string, method: "HEAD" | "GET"): Promise<number | Reason | undefined> {
    try {
      const response = await this.client.request(url, {
        method,
        ...(method === "GET" && { headers: { range: "bytes=0-0" } }),
        signal: this.signal,
        limit: ANSWER_LIMIT,
        allowDowngrade: true,
      });
      response.discard();
      return response.status;
    } catch (error) {
      if (this.signal.aborted || (error instanceof HttpError && error.how !== undefined)) return undefined;
      if (error instanceof Fault) return { why: `${error.code} ${error.message}`, hint: error.hint };
      return { why: describeNetworkError(error), hint: error instanceof HttpError ? error.hint : undefined };
    }
  }
}

/** 429: too many questions are no answer to one. */
const mayBeThere = (status: number): boolean => status < 400 || status === 429;

const isGone = (why: string): boolean => /^HTTP status (?:404|410)$/.test(why);

/** A line per file, or per group of more than three with the same reason; what there is to say about a reason, once. */
function describe(absent: readonly Absent[]): string[] {
  const groups = new Map<string, Absent[]>();
  for (const each of absent) {
    const reason = `${placeKind(each.fetch)} ${each.why}`;
    groups.set(reason, [...(groups.get(reason) ?? []), each]);
  }
  const said = new Set<string>();
  return [...groups.values()].flatMap((group) => {
    const line = ({ fetch, why }: Absent, more: string): string => `${placeKind(fetch)}: ${fetch.file}${more}: ${why}`;
    const lines = group.length <= 3 ? group.map((each) => line(each, "")) : [];
    const [first] = group;
    if (first === undefined) return lines;
    if (lines.length === 0) lines.push(line(first, ` and ${group.length - 1} others`));
    const details = said.has(first.why) ? [] : first.details.map((detail) => `  ${detail}`);
    said.add(first.why);
    return [...lines, ...details];
  });
}

function hintFor(absent: readonly Absent[], superseded: Superseded): string {
  const gone = absent.filter(({ fetch, isGone: is }) => is && fetch.archive !== undefined);
  const others = absent.filter((each) => !gone.includes(each));
  const kinds = new Set(others.filter(({ hint }) => hint === undefined).map(({ fetch }) => placeKind(fetch)));
  const hints = [
    superseded(gone.map(({ fetch }) => fetch)),
    ...new Set(others.map(({ hint }) => hint)),
    kinds.has("Debian archive") ? "name a mirror with --debian-mirror <url>" : undefined,
    kinds.has("Debian security archive") ? "name one of the updates with --debian-security-mirror <url>" : undefined,
    kinds.has("release sites") ? "--channel debian takes the sources from a Debian mirror" : undefined,
    kinds.has("registry of crates") ? "name a registry of crates with --crates-mirror <url>" : undefined,
    kinds.size > 0 ? "http_proxy and https_proxy name a proxy" : undefined,
  ];
  return hints.filter((hint) => hint !== undefined).join("; ");
}

/** Of a channel: the command that refreshes its pins of these files, each a component or the seed that a package belongs to. */
export function supersededIn({ name: channel, seeds }: Pick<Channel, "name" | "seeds">): Superseded {
  const seedOf = new Map<string, string>();
  for (const [seed, packages] of Object.entries(seeds))
    for (const { sha256 } of packages) if (!seedOf.has(sha256)) seedOf.set(sha256, `seed-${seed}`);
  const pinOf = ({ archive, name, sha256 }: FetchDerivation): string | undefined => {
    if (archive === undefined) return undefined;
    return (sha256 === undefined ? undefined : seedOf.get(sha256)) ?? name.replace(/\.patches(?:-\d+)?$/, "");
  };
  return (fetches) => {
    const names = [...new Set(fetches.flatMap((fetch) => pinOf(fetch) ?? []))];
    if (names.length === 0) return undefined;
    const lock = `anvil lock --channel ${channel} ${names.join(" ")}`;
    return `a newer version may have taken its place: \`${lock}\` shows what is there now, and takes it over with --write; a mirror that keeps old versions, such as a snapshot of the archive, can be named with --debian-mirror <url>`;
  };
}

/** For messages: hosts of URLs, each once. */
export const hostsOf = (urls: readonly string[]): string[] => [
  ...new Set(urls.map((url) => new URL(withoutCredentials(url)).host)),
];
