/** What every command is made of, and what they share: options, the project, the store, the chosen channel. */
import { readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs, type ParseArgsConfig } from "node:util";
import { fileURLToPath } from "node:url";
import { errno, Fault } from "../fault/fault.ts";
import type { EvaluateOptions } from "../forge/evaluate.ts";
import { outputReader } from "../forge/plan.ts";
import { replaceFile } from "../host/replace-file.ts";
import type { Channel } from "../recipe/channel.ts";
import type { Digest } from "../recipe/derivation.ts";
import {
  AUTO,
  chooseChannel,
  settleChannel,
  type ChannelChoice,
  type ChoiceOptions,
} from "../source/channel-choice.ts";
import { storePaths } from "../store/paths.ts";
import { Store } from "../store/store.ts";

export interface Command {
  /** One line for `anvil --help`. */
  readonly summary: string;
  /** The text of `anvil <command> --help`: usage, options, examples. */
  readonly help: string;
  /** Runs it; the result is the exit code: 0 done, 1 failed, 2 wrong usage. */
  run(args: readonly string[]): Promise<number>;
}

/** The project's root: the folder above the bundle. */
export function projectRoot(): string {
  let folder = path.dirname(fileURLToPath(import.meta.url));
  while (path.basename(folder) !== "dist") folder = path.dirname(folder);
  return path.dirname(folder);
}

type Options = NonNullable<ParseArgsConfig["options"]>;

/** Parses strictly; throws E_USAGE with the command's usage line. */
export function parse<T extends Options>(args: readonly string[], help: string, options: T) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    throw usage((error as Error).message.split(". ")[0] ?? "", help);
  }
}

export function usage(message: string, help: string): Fault {
  const line = help.split("\n").find((text) => text.startsWith("usage:")) ?? "";
  return new Fault("E_USAGE", message, { details: [line], hint: "--help shows options and examples" });
}

/** Options of every command that evaluates recipes. */
export const channelOptions = {
  channel: { type: "string", default: AUTO },
} as const;

export function openStore(): Store {
  return Store.open(storePaths(process.env, os.homedir()));
}

/** Events of the last forge, a line each. */
export const lastRunFile = (store: Store): string => path.join(store.paths.logs, "last-run.jsonl");

/** Digests of unpinned sources that an earlier, accepted download found: component → SHA-256. */
export function readPins(store: Store, channel: Channel): ReadonlyMap<string, Digest> {
  try {
    const pins = JSON.parse(readFileSync(pinFile(store, channel.name), "utf8")) as Record<string, Digest>;
    return new Map(Object.entries(pins));
  } catch (error) {
    if (errno(error) === "ENOENT") return new Map();
    throw error;
  }
}

/** What a plan is evaluated with. */
export function planOptions(store: Store, channel: Channel): EvaluateOptions {
  return { project: projectRoot(), channel, pins: readPins(store, channel), readOutput: outputReader(store) };
}

export function writePin(store: Store, channel: Channel, component: string, sha256: Digest): void {
  const pins = new Map([...readPins(store, channel), [component, sha256]]);
  const file = pinFile(store, channel.name);
  replaceFile(file, `${JSON.stringify(Object.fromEntries(pins), null, 1)}\n`);
}

const pinFile = (store: Store, channel: string): string => path.join(store.paths.top, `pins-${channel}.json`);

/** The channel that `--channel` names, else that of this folder: for looking at. */
export function selectChannel(name: string): Promise<ChannelChoice> {
  return chooseChannel(name, choiceOptions());
}

/** The channel that is built from now on, in this folder. */
export function buildChannel(name: string): Promise<ChannelChoice> {
  return settleChannel(name, choiceOptions());
}

function choiceOptions(): ChoiceOptions {
  const environment = process.env["ANVIL_CHANNEL"];
  return { projectRoot: projectRoot(), environment: environment === "" ? undefined : environment };
}
