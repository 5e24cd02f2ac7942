/**
 * Channels of the project: `channels/<name>.json`, and what is known of each. The seeds are the same in every channel
 * and stand in `channels/seed.json`, an object of package lists by seed name; so are the Rust crates in
 * `channels/crates.json`, an object of lists by name.
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";
import type { Channel } from "../recipe/channel.ts";
import { checkChannel, checkCrates, checkSeeds, wrong } from "./channel-shape.ts";

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

/** SHA-256 over every pin of a channel, its seeds and crates included: what a build of all of it was made from. */
export function pinsDigest({ components, seeds, crates = {} }: Channel): string {
  const rows = [
    ...Object.entries(components).map(([name, { version, sha256 = "", patches = [] }]) => [
      ...["component", name, version, sha256],
      ...patches.flatMap((archive) => [archive.sha256, ...archive.files]),
    ]),
    ...Object.entries(seeds).flatMap(([name, list]) => list.map((each) => ["seed", name, each.package, each.sha256])),
    ...Object.entries(crates).flatMap(([name, list]) => list.map((each) => ["crate", name, each.crate, each.sha256])),
  ];
  const text = rows.map((row) => JSON.stringify(row)).sort();
  return createHash("sha256").update(text.join("\n")).digest("hex");
}

/** Whether a channel was built whole with the pins that it has now. */
export function isProven(channel: Channel): boolean {
  return channel.proven?.pins === pinsDigest(channel);
}

/** Names of the components that are taken from this machine, not from where the channel says. */
export function localNames({ components }: Channel): string[] {
  return Object.keys(components).filter((name) => components[name]?.local !== undefined);
}

/** In words, for the first line of a run: whether a channel was built whole, and when. */
export function standing(channel: Channel): string {
  if (localNames(channel).length > 0) return "never built whole with local sources";
  if (channel.proven === undefined) return "never built whole";
  return `built and booted on ${channel.proven.date}${isProven(channel) ? "" : ", with other pins"}`;
}
