import { realise, type RealiseOptions } from "../forge/forge.ts";
import type { BundleIndex } from "../forge/bundle.ts";
import { downloadsOf, exportSources, importSources, type Downloads, type Wish } from "../project/offline.ts";
import type { Project } from "../project/project.ts";
import { AUTO } from "../source/channel-choice.ts";
import { chooseView } from "../ui/open.ts";
import { parse, sourceHelp, usage, type Command } from "./command.ts";
import { print, printJson } from "./print.ts";
import { cratesHelp, downloads, mirrorHelp, onInterrupt, realiseOptions } from "./realise-options.ts";

const help = `
usage: anvil fetch [target…] [options]
       anvil fetch [target…] --export <file> [options]
       anvil fetch [target…] --import <file> [options]

Downloads every source and every package of the seed that a forge of the targets needs, and builds nothing. Afterwards that
forge needs no network. Without a target: all for the ISO.

For a machine without network (docs/offline.md):
  --export <file>             afterwards writes all of it into one file, a tar archive with an index; the same sources
                              make the same bytes
  --import <file>             takes such a file into the store, all that it has for this project or nothing; without network.
                              Without a target: what it was made for

  --all                       all targets that the channel has the sources of: every ingot and every test
  --channel <name>            another than the one of this folder (\`anvil channel\`); may be repeated. Of a file that is
                              imported: only what this channel pins (default: all that the file was made for)
  --keep-going                after a failure go on with the other downloads
  --accept-unverified <name>  take a source whose pin is marked doubtful; may be repeated
  ${sourceHelp}
  ${mirrorHelp}
  ${cratesHelp}
  --json                      one JSON object per event (docs/events.md); of --export and --import one document:
                              {file, channels, files, bytes, taken}
  --plain                     lines, even on a terminal

examples:
  anvil fetch
  anvil fetch linux --channel rfc-0054 --keep-going
  anvil fetch --all --channel debian --channel debian-12 --export /media/stick/anvil-sources.tar
  anvil fetch --import /media/stick/anvil-sources.tar

exit status: 0 all there, 1 something failed, 2 wrong usage, 130 interrupted
`;

const options = {
  ...realiseOptions,
  channel: { type: "string", multiple: true, default: [] as string[] },
  all: { type: "boolean", default: false },
  export: { type: "string" },
  import: { type: "string" },
} as const;

type Values = ReturnType<typeof parse<typeof options>>["values"];

interface Request {
  readonly project: Project;
  readonly values: Values;
  readonly wish: Wish;
  readonly signal: AbortSignal;
}

export const command: Command = {
  summary: "download all that a forge needs, build nothing",
  help,
  async run(args, project) {
    const { values, positionals: names } = parse(args, help, options);
    if (values.export !== undefined && values.import !== undefined)
      throw usage("--export and --import exclude each other", help);
    if (values.source.length > 0 && (values.export ?? values.import) !== undefined)
      throw usage("a file for another machine holds what channels pin: --source is not for it", help);
    if (values.all && names.length > 0) throw usage("--all is more than the targets that are named", help);
    const interrupt = onInterrupt();
    const { signal } = interrupt;
    const request = { project, values, wish: { names, all: values.all }, signal };
    try {
      return values.import === undefined ? await fetchAll(request) : await takeIn(request, values.import);
    } catch (error) {
      if (signal.aborted) return 130;
      throw error;
    } finally {
      interrupt.close();
    }
  },
};

async function fetchAll(request: Request): Promise<number> {
  const { project, values, wish, signal } = request;
  const { json, plain, source } = values;
  const choices = [];
  for (const channel of new Set(values.channel.length === 0 ? [AUTO] : values.channel))
    choices.push(await project.selectSources({ channel, source }, { signal }));
  const view = chooseView({ json, plain, stream: process.stdout, env: process.env });
  try {
    for (const { channel, why } of choices) {
      const status = await download(await downloadsOf(project, wish, channel), why, request, view);
      if (status !== 0) return status;
    }
  } finally {
    view.close();
  }
  const file = values.export;
  if (file === undefined) return 0;
  const channels = choices.map(({ channel }) => channel);
  const { index, bytes } = await exportSources(project, wish, channels, file, signal);
  const then = `\`anvil fetch --import ${file}\` takes them in`;
  say(values, { file, index, bytes, taken: index.files.length }, (what, size) => `${file}: ${what}, ${size}; ${then}`);
  return 0;
}

async function download(
  { evaluation, fetches }: Downloads,
  why: string,
  { project, values, signal }: Request,
  view: RealiseOptions["on"],
): Promise<number> {
  const { channel } = evaluation;
  const places = downloads(values, project, evaluation);
  const note = await places.note();
  const realising: RealiseOptions = {
    project: project.root,
    store: project.store,
    why: note === "" ? why : `${why}; ${note}`,
    // downloads take no job tokens
    jobs: 1,
    keepGoing: values["keep-going"],
    acceptUnverified: new Set(values["accept-unverified"]),
    mirrors: places.mirrors,
    crates: places.crates,
    onPin: (component, sha256) => project.keepPin(channel, component, sha256),
    expected: new Map(),
    signal,
    on: view,
  };
  const seed = await places.seedForCrates();
  if (seed !== undefined && !(await realise({ ...evaluation, targets: [seed] }, realising)).ok) return 1;
  const { ok } = await realise(fetches, realising);
  if (signal.aborted) return 130;
  return ok ? 0 : 1;
}

async function takeIn({ project, values, wish, signal }: Request, file: string): Promise<number> {
  const { channel: channels, "accept-unverified": accepted } = values;
  const acceptUnverified = new Set(accepted);
  const { index, taken } = await importSources(project, file, { channels, wish, acceptUnverified, signal });
  const bytes = taken.reduce((sum, each) => sum + each.bytes, 0);
  say(values, { file, index, bytes, taken: taken.length }, (what, size) =>
    taken.length === 0
      ? `nothing to do: what is wanted of ${file} is here`
      : `took ${taken.length} of ${what}, ${size}; a forge of them needs no network now`,
  );
  return 0;
}

interface Said {
  readonly file: string;
  readonly index: BundleIndex;
  readonly bytes: number;
  readonly taken: number;
}

function say(
  { json }: Values,
  { file, index, bytes, taken }: Said,
  sentence: (what: string, size: string) => string,
): void {
  const channels = index.channels.map(({ name }) => name);
  const files = index.files.length;
  if (json) printJson({ file, channels, files, bytes, taken });
  else print(`${sentence(`${files} files for ${channels.join(", ")}`, `${(bytes / 1e6).toFixed(1)} MB`)}\n`);
}
