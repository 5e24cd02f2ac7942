/** Options that several commands have. */
import { Fault } from "../fault/fault.ts";
import { AUTO } from "../source/channel-choice.ts";

export const flag = { type: "boolean", default: false } as const;

export const json = { json: flag } as const;

/** Of every command that evaluates recipes. */
export const channelOptions = {
  channel: { type: "string", default: AUTO },
} as const;

/** Of those that also take sources of this machine. */
export const sourceOptions = {
  ...channelOptions,
  source: { type: "string", multiple: true, default: [] as string[] },
} as const;

/** Lines of `--help` about it. */
export const sourceHelp = `
  --source <name>=<folder or archive>
                              take this source of the component in the place of the pinned one; may be repeated.
                              <name>@<version>=… where it is another version (docs/offline.md)
`.trim();

/** Of commands that speak of the image. */
export const loginOptions = {
  "root-login": flag,
  "no-root-login": flag,
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

/** A whole number in bounds. Throws E_USAGE. */
export function wholeNumber(text: string, option: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new Fault("E_USAGE", `${option} wants a whole number from ${least} to ${most}, not "${text}"`);
}

/** Of commands that speak with a running Monolith. */
export const connectOptions = {
  to: { type: "string" },
  machine: { type: "string" },
} as const;

export const connectHelp = `\
  --machine <name>     the machine, when several run (\`anvil boot\` starts one)
  --to <address>       ssh://[user@]host[:port] instead: a system with sshd, by means of your own ssh`;
