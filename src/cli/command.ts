/** What every command is made of, and what they share. */
import { parseArgs, type ParseArgsConfig } from "node:util";
import { Fault } from "../fault/fault.ts";
import type { Project } from "../project/project.ts";
import { AUTO } from "../source/channel-choice.ts";

export interface Command {
  /** One line for `anvil --help`. */
  readonly summary: string;
  /** The text of `anvil <command> --help`: usage, options, examples. */
  readonly help: string;
  /** Runs it; the result is the exit code: 0 done, 1 failed, 2 wrong usage. */
  run(args: readonly string[], project: Project): Promise<number>;
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

/** Options of commands that speak of the image. */
export const loginOptions = {
  "root-login": { type: "boolean", default: false },
  "no-root-login": { type: "boolean", default: false },
} as const;

interface LoginValues {
  readonly "root-login": boolean;
  readonly "no-root-login": boolean;
}

/** Undefined: as usual. Throws E_USAGE when both are given. */
export function rootLoginOf({ "root-login": open, "no-root-login": closed }: LoginValues): boolean | undefined {
  if (open && closed) throw new Fault("E_USAGE", "--root-login and --no-root-login exclude each other");
  return open || closed ? open : undefined;
}
