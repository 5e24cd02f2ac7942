/** Options of commands that build something, and what they mean. */
import os from "node:os";
import { storeAccepting, type Builder } from "../project/build.ts";
import type { OpenView } from "../project/realisation.ts";
import { chooseView, type ViewOptions } from "../ui/open.ts";
import type { World } from "./command.ts";
import { flag, wholeNumber } from "./options.ts";
import { choiceOf, realiseOptions, type RealiseValues } from "./realise-options.ts";

export const buildOptions = {
  ...realiseOptions,
  jobs: { type: "string", short: "j" },
  "accept-from-vm": { type: "string", multiple: true, default: [] as string[] },
  "no-preflight": flag,
} as const;

interface BuildValues extends RealiseValues {
  readonly jobs?: string | undefined;
  readonly "accept-from-vm": readonly string[];
  readonly "no-preflight": boolean;
}

/** A call of a command that shows events. */
interface Showing extends World {
  readonly values: { readonly json: boolean; readonly plain: boolean };
}

/** @param also ingots for which what a Monolith built is taken too */
export async function builderOf(
  call: World & { readonly values: BuildValues; readonly signal: AbortSignal },
  also: readonly string[] = [],
): Promise<Builder> {
  const { project, values } = call;
  const jobs = jobCount(values.jobs);
  const store = await storeAccepting(project, [...values["accept-from-vm"], ...also]);
  const choice = { ...choiceOf(values), preflight: !values["no-preflight"] };
  return { project, choice, jobs, store, signal: call.signal, view: openView(call) };
}

/** The number that `--jobs` gives; throws E_USAGE. */
export function jobCount(text: string | undefined): number {
  return text === undefined ? os.availableParallelism() : wholeNumber(text, "--jobs", 1, 1024);
}

export const openView =
  (call: Showing): OpenView =>
  (profile) =>
    chooseView({ ...viewOptions(call), ...(profile === undefined ? {} : { profile }) });

export function viewOptions({ values: { json, plain }, terminal, project }: Showing): ViewOptions {
  return { json, plain, stream: terminal.streams.output, env: project.env };
}
