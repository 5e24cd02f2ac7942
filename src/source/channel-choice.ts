/**
 * Which channel a project folder builds: named for a run, chosen once for the folder (`.anvil/channel.json`), or the
 * default. The first build makes the choice; it stays, for the ISO and for whatever is sent into it, until it is changed.
 */
import { mkdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";
import type { Channel } from "../recipe/channel.ts";
import { channelNames, loadChannel, standing } from "./channel.ts";
import { diskFault } from "../host/disk.ts";
import { createFile, replaceFile } from "../host/replace-file.ts";

/** The channel of the folder, or the default. */
export const AUTO = "auto";

export interface ChoiceOptions {
  readonly projectRoot: string;
  /** `ANVIL_CHANNEL`: in the place of the folder's choice, for all that is started with it. */
  readonly environment?: string | undefined;
}

export interface ChannelChoice {
  readonly channel: Channel;
  /** For the first line of a run and for the manifest: who chose, and what is known of this channel and of the others. */
  readonly why: string;
  /** Who chose. */
  readonly by: string;
  /** The project's other channels. */
  readonly others: readonly Channel[];
}

interface Named {
  readonly name: string;
  readonly by: string;
}

/** The channel that is meant, for looking at. Throws E_CHANNEL. */
export async function chooseChannel(name: string, options: ChoiceOptions): Promise<ChannelChoice> {
  const { projectRoot } = options;
  const chosen = name === AUTO ? await chosenName(options) : { name, by: "asked for" };
  const others = (await channelNames(projectRoot)).filter((each) => each !== chosen?.name);
  const loaded = await Promise.all(others.map((each) => loadChannel(projectRoot, each)));
  const channel = chosen === undefined ? defaultOf(loaded) : await loadChannel(projectRoot, chosen.name);
  return choiceOf(
    channel,
    chosen?.by ?? "the default",
    loaded.filter((each) => each !== channel),
  );
}

/** The same choice of a channel that something was changed in. */
export function changedChoice({ by, others }: ChannelChoice, channel: Channel): ChannelChoice {
  return choiceOf(channel, by, others);
}

function choiceOf(channel: Channel, by: string, others: readonly Channel[]): ChannelChoice {
  const rest = others.map((each) => `${each.name}, ${standing(each)}`);
  const more = rest.length === 0 ? "" : `; by name there is also ${rest.join("; ")}`;
  const known = channel.unproven === undefined ? standing(channel) : `${standing(channel)} (${channel.unproven})`;
  return { channel, by, others, why: `${by}, ${known}${more}` };
}

/**
 * The channel that a build takes, which is the folder's from then on. Throws E_CHANNEL, E_CHANNEL_CHOICE when another one
 * was chosen for the folder, and E_READ_ONLY or E_DISK_FULL when a choice cannot be kept.
 */
export async function settleChannel(name: string, options: ChoiceOptions): Promise<ChannelChoice> {
  const choice = await chooseChannel(name, options);
  const { projectRoot, environment } = options;
  const settled = environment ?? (await recordFirst(projectRoot, choice.channel.name, name === AUTO));
  if (settled === choice.channel.name) return choice;
  const by = environment === undefined ? `chosen in ${choiceFile}` : "named by ANVIL_CHANNEL";
  throw new Fault("E_CHANNEL_CHOICE", `this folder builds channel ${settled}, not ${choice.channel.name}`, {
    details: [`${settled} was ${by}; an ISO of one channel and ingots of another do not belong together`],
    hint: `anvil channel ${choice.channel.name}   changes it for all that is built here; or work in a copy of the project`,
  });
}

/** Makes a channel the one that the folder builds. Throws E_CHANNEL, E_READ_ONLY and E_DISK_FULL. */
export async function setChannel(projectRoot: string, name: string): Promise<Channel> {
  const channel = await loadChannel(projectRoot, name);
  writeChoice(projectRoot, name, replaceFile);
  return channel;
}

/** The name of the channel that was chosen for the folder; undefined when none was. Throws E_CHANNEL. */
export async function readChoice(projectRoot: string): Promise<string | undefined> {
  let text: string;
  try {
    text = await readFile(path.join(projectRoot, choiceFile), "utf8");
  } catch (error) {
    if (errno(error) === "ENOENT") return undefined;
    throw error;
  }
  const known = await channelNames(projectRoot);
  const name = nameIn(text);
  if (name !== undefined && known.includes(name)) return name;
  throw new Fault("E_CHANNEL", `${choiceFile} names no channel of this project`, {
    hint: `anvil channel <name>   writes it anew; channels here: ${known.join(", ")}`,
  });
}

const choiceFile = ".anvil/channel.json";

function nameIn(text: string): string | undefined {
  try {
    const { channel } = JSON.parse(text) as { channel?: unknown };
    return typeof channel === "string" ? channel : undefined;
  } catch {
    return undefined;
  }
}

async function chosenName({ projectRoot, environment }: ChoiceOptions): Promise<Named | undefined> {
  if (environment !== undefined) return { name: environment, by: "named by ANVIL_CHANNEL" };
  const name = await readChoice(projectRoot);
  return name === undefined ? undefined : { name, by: "chosen for this folder" };
}

/** A project has one: the tests of `channels/` see to it. */
function defaultOf(channels: readonly Channel[]): Channel {
  const found = channels.find((each) => each.default === true);
  if (found !== undefined) return found;
  throw new Fault("E_CHANNEL", "no channel of this project is the default", {
    hint: `anvil channel <name>   chooses one: ${channels.map(({ name }) => name).join(", ")}`,
  });
}

/** Keeps the name unless a choice is there already; the one that stands then. */
async function recordFirst(projectRoot: string, name: string, isDefault: boolean): Promise<string> {
  const known = await readChoice(projectRoot);
  if (known !== undefined) return known;
  try {
    if (writeChoice(projectRoot, name, createFile)) return name;
    // another forge was first
    return (await readChoice(projectRoot)) ?? name;
  } catch (error) {
    // a project that cannot be written takes the default every time
    if (isDefault && error instanceof Fault && error.code === "E_READ_ONLY") return name;
    throw error;
  }
}

/** @param place says false when it leaves a file that is there */
function writeChoice(projectRoot: string, name: string, place: (file: string, text: string) => unknown): boolean {
  const file = path.join(projectRoot, choiceFile);
  try {
    mkdirSync(path.dirname(file), { recursive: true });
    return place(file, `${JSON.stringify({ channel: name })}\n`) !== false;
  } catch (cause) {
    throw diskFault(cause, file) ?? cause;
  }
}
