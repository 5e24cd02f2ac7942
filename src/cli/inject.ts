import type { Store } from "../store/store.ts";
import { inject } from "../inject/inject.ts";
import { Ingot } from "../inject/ingot-file.ts";
import { refuseOtherMajor, type Keeper } from "../inject/other-major.ts";
import type { Ingot as IngotRecipe } from "../recipe/ingot.ts";
import { injectView } from "../ui/inject.ts";
import { findMachine } from "../vm/state.ts";
import { buildOptions, jobCount, openBuildStore } from "./build.ts";
import { parse, usage, type Command } from "./command.ts";
import { connectHelp, connectOptions, withDestination, type ConnectValues } from "./connect.ts";
import { ingotNamed, signedIngot } from "./ingot-source.ts";
import { onInterrupt } from "./realise-options.ts";
import type { Project } from "../project/project.ts";
import { buildInMonolith } from "./workshop.ts";

const help = `
usage: anvil inject <name> [options]
       anvil inject --file <file> [options]

Sends an ingot into a running Monolith, where it is proven and becomes active in one step: builds what is missing of it,
signs it with your key (\`anvil key\`), or takes an ingot file as it is. What was interrupted goes on where it was.

  --in <place>         where it is built: sandbox (default), or vm, the Monolith itself. What both build must be the same.
                       An interrupted command is repeated: it finds the work that went on in the Monolith meanwhile.
                       What the Monolith built is used for this ingot alone: --accept-from-vm <ingot> uses it for others
  --file <file>        an ingot file, which \`anvil ingot export\` writes
  --allow-downgrade    even when a newer version is active
  --other-major        even when the active one is of another major version, whose data this one does not read
${connectHelp}
  --json               one JSON object per event (docs/events.md)
  --plain              lines, even on a terminal

What is built takes the options of \`anvil forge\`: --channel, --jobs, --debian-mirror, --accept-unverified,
--accept-from-vm, --keep-going.

examples:
  anvil inject tools
  anvil inject cc --in vm
  anvil inject tools --to ssh://root@10.0.2.15
  anvil inject --file tools-1.10.0-0123456789ab.ingot

exit status: 0 active, 1 refused or failed, 2 wrong usage, 130 interrupted
`;

const options = {
  ...buildOptions,
  ...connectOptions,
  in: { type: "string", default: "sandbox" },
  file: { type: "string" },
  "allow-downgrade": { type: "boolean", default: false },
  "other-major": { type: "boolean", default: false },
} as const;

export const command: Command = {
  summary: "send an ingot into a running Monolith",
  help,
  async run(args, project) {
    const { values, positionals } = parse(args, help, options);
    const [name] = positionals;
    if (positionals.length > 1 || (name === undefined) === (values.file === undefined))
      throw usage("name one ingot, or a file with --file", help);
    if (values.in !== "sandbox" && (values.in !== "vm" || name === undefined))
      throw usage(`--in is sandbox or, for an ingot that is named, vm, not "${values.in}"`, help);
    const jobs = jobCount(values.jobs, help);
    // what the Monolith builds is taken for this ingot alone
    const store = await openBuildStore(values, project, values.in === "vm" ? name : undefined);
    // said before anything is built
    if (values.to === undefined) await findMachine(store.paths.top, values.machine);
    const interrupt = onInterrupt();
    const { signal } = interrupt;
    const request = { project, values, jobs, store, signal };
    const check = async (keeper: Keeper | undefined): Promise<void> => {
      if (keeper === undefined || values["other-major"]) return;
      await withDestination(values, store, (destination) => refuseOtherMajor(keeper, destination, signal));
    };
    try {
      const made = name === undefined ? undefined : await ingotNamed(name, values, project);
      // an hour before the system would say so
      if (made !== undefined) await check(await keeperOf(made, values.channel, project));
      if (made !== undefined && values.in === "vm") {
        const status = await buildInMonolith(made, request);
        if (status !== 0) return status;
      }
      const ingot = made === undefined ? await Ingot.ofFile(values.file ?? "") : await signedIngot(made, request);
      if (typeof ingot !== "number" && name === undefined)
        await check(ingot.manifest.data ? ingot.manifest : undefined);
      return typeof ingot === "number" ? ingot : await send(ingot, values, store, signal);
    } catch (error) {
      if (signal.aborted) return 130;
      throw error;
    } finally {
      interrupt.close();
    }
  },
};

/** Name and version of an ingot that keeps data. */
async function keeperOf(
  { name, version, data }: IngotRecipe,
  channel: string,
  project: Project,
): Promise<Keeper | undefined> {
  if (!data) return undefined;
  if (typeof version === "string") return { name, version };
  const { components } = (await project.selectChannel(channel)).channel;
  return { name, version: components[version.component]?.version ?? "" };
}

interface SendValues extends ConnectValues {
  readonly json: boolean;
  readonly plain: boolean;
  readonly "allow-downgrade": boolean;
}

async function send(ingot: Ingot, values: SendValues, store: Store, signal: AbortSignal): Promise<number> {
  const { json, plain } = values;
  const view = injectView({ json, plain, stream: process.stdout, env: process.env });
  try {
    const allowDowngrade = values["allow-downgrade"];
    await withDestination(values, store, (destination) =>
      inject(ingot, destination, { allowDowngrade, signal, on: view }),
    );
    return 0;
  } finally {
    view.close();
    await ingot.close();
  }
}
