/**
 * Channels of the project: `channels/<name>.json`, and the choice between them. The seeds are the same in every channel
 * and stand in `channels/seed.json`, an object of package lists by seed name; so are the Rust crates in
 * `channels/crates.json`, an object of lists by name.
 */
import { readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";
import type { Channel, Component } from "../recipe/channel.ts";
import { checkChannel, checkCrates, checkSeeds, wrong } from "./channel-shape.ts";
import { httpClient } from "./http.ts";

const folder = "channels";
const seedFile = "seed.json";
const cratesFile = "crates.json";
/** Files that are no channel. */
const others = [seedFile, cratesFile, "advisories.json"];

/**
 * The channel of that name with its seeds. Throws E_CHANNEL for an unknown name, a file that is not JSON, or one that
 * has not the shape of a channel; the message names the JSON path that is wrong.
 */
export async function loadChannel(projectRoot: string, name: string): Promise<Channel> {
  const file = path.join(folder, `${name}.json`);
  const known = await channelNames(projectRoot);
  if (!known.includes(name)) {
    throw new Fault("E_CHANNEL", `there is no channel "${name}"`, { hint: `channels here: ${known.join(", ")}` });
  }
  const channel = checkChannel(await readJson(projectRoot, file), file);
  if (channel.name !== name) throw wrong(file, "$.name", `"${name}", as the file is called`, channel.name);
  return { ...channel, seeds: await loadSeeds(projectRoot), crates: await loadCrates(projectRoot) };
}

/** The package lists of `channels/seed.json`. Throws E_CHANNEL. */
export async function loadSeeds(projectRoot: string): Promise<Channel["seeds"]> {
  const file = path.join(folder, seedFile);
  return checkSeeds(await readJson(projectRoot, file), file);
}

/** The lists of `channels/crates.json`, which may be absent. Throws E_CHANNEL. */
export async function loadCrates(projectRoot: string): Promise<NonNullable<Channel["crates"]>> {
  const file = path.join(folder, cratesFile);
  if (!(await readdir(path.join(projectRoot, folder))).includes(cratesFile)) return {};
  return checkCrates(await readJson(projectRoot, file), file);
}

/** Names of the channels of a project, sorted. */
export async function channelNames(projectRoot: string): Promise<string[]> {
  const files = await readdir(path.join(projectRoot, folder)).catch(() => []);
  return files
    .filter((file) => file.endsWith(".json") && !others.includes(file))
    .map((file) => path.basename(file, ".json"))
    .sort();
}

async function readJson(projectRoot: string, file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path.join(projectRoot, file), "utf8")) as unknown;
  } catch (cause) {
    const reason = errno(cause) ?? (cause as Error).message;
    throw new Fault("E_CHANNEL", `${file} cannot be read: ${reason}`, { cause });
  }
}

export interface AutoOptions {
  readonly projectRoot: string;
  /** True when a file with this hash is here already. */
  readonly hasSource: (sha256: string) => boolean | Promise<boolean>;
  /** Components that will be needed; all of the channel when absent. */
  readonly needed?: readonly string[];
  /** File that remembers for an hour what the sites answered. */
  readonly memory?: string;
  /** Milliseconds that the sites have to answer; 3000 when absent. */
  readonly limit?: number;
}

export interface ChannelChoice {
  readonly channel: Channel;
  /** For the first line of the output and the manifest. */
  readonly why: string;
}

const exact = "rfc-0054";
const nearest = "debian";
const remembered = 3_600_000;

/**
 * The channel of that name; for "auto" rfc-0054 if each of its sources is here or at a site that answers, else debian.
 * Throws E_CHANNEL for an unknown name or a channel file that is wrong.
 */
export async function chooseChannel(name: string, options: AutoOptions): Promise<ChannelChoice> {
  const { projectRoot } = options;
  if (name !== "auto") return { channel: await loadChannel(projectRoot, name), why: "asked for" };
  const channel = await loadChannel(projectRoot, exact);
  const absent = await absentComponents(channel, options);
  if (options.needed?.length === 0)
    return { channel: await loadChannel(projectRoot, nearest), why: "no sources are needed" };
  if (absent.length === 0) return { channel, why: "all of its sources are here" };
  const silent = await rememberedSilent(absent, options);
  if (silent === undefined) return { channel, why: "its release sites answer" };
  return {
    channel: await loadChannel(projectRoot, nearest),
    why: `${exact} needs ${silent.name} from ${silent.hosts.join(" or ")}, which cannot be reached`,
  };
}

interface Named {
  readonly name: string;
  readonly component: Component;
}

async function absentComponents(channel: Channel, { needed, hasSource }: AutoOptions): Promise<Named[]> {
  const absent: Named[] = [];
  for (const [name, component] of Object.entries(channel.components)) {
    if (needed !== undefined && !needed.includes(name)) continue;
    const here = component.sha256 !== undefined && (await hasSource(component.sha256));
    if (!here) absent.push({ name, component });
  }
  return absent;
}

/** A component that no site gives: its name and the sites' hosts. */
interface Silent {
  readonly name: string;
  readonly hosts: readonly string[];
}

/** Asks again after an hour or for other components: a run that has nothing to do must not wait for the network. */
async function rememberedSilent(
  absent: readonly Named[],
  { memory, limit = 3000 }: AutoOptions,
): Promise<Silent | undefined> {
  const question = JSON.stringify(absent.map(({ component: { urls } }) => urls));
  const known = memory === undefined ? undefined : await readMemory(memory);
  const age = Date.now() - (known?.at ?? 0);
  if (known?.question === question && age >= 0 && age < remembered) return known.silent;
  const silent = await firstSilent(absent, limit);
  if (memory !== undefined) {
    const text = JSON.stringify({ at: Date.now(), question, silent } satisfies Memory);
    // no more than a convenience: a folder that cannot be written is found out about elsewhere
    await writeFile(memory, text).catch(() => {});
  }
  return silent;
}

interface Memory {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly question: string;
  readonly silent: Silent | undefined;
}

async function readMemory(file: string): Promise<Memory | undefined> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as Memory;
  } catch {
    return undefined;
  }
}

/** The first component found none of whose sites answers. Each site is asked once, all at the same time. */
async function firstSilent(absent: readonly Named[], limit: number): Promise<Silent | undefined> {
  const asked = new Map<string, Promise<boolean>>();
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), limit);
  const ask = (url: string): Promise<boolean> => {
    const { origin } = new URL(url);
    const answer = asked.get(origin) ?? answers(url, stop.signal);
    asked.set(origin, answer);
    return answer;
  };
  const check = async ({ name, component: { urls = [] } }: Named): Promise<Silent> => {
    const reached = await Promise.all(urls.map(ask));
    if (reached.includes(true)) throw new Error("answered");
    return { name, hosts: [...new Set(urls.map((url) => new URL(url).host))] };
  };
  try {
    return await Promise.any(absent.map(check));
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

/** A redirection is an answer: where release sites lead to is not known in advance. */
async function answers(url: string, signal: AbortSignal): Promise<boolean> {
  try {
    const response = await httpClient().request(url, { method: "HEAD", redirect: "manual", signal });
    response.discard();
    return response.status < 400 || response.status === 405;
  } catch {
    return false;
  }
}
