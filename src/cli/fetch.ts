import { Fault } from "../fault/fault.ts";
import type { BundleIndex } from "../forge/bundle.ts";
import { fetchAll } from "../project/fetch.ts";
import { exportSources, importSources, type Wish } from "../project/offline.ts";
import { openView } from "./build-options.ts";
import { ANY, command as define, type Answer, type Call } from "./command.ts";
import { flag, sourceHelp } from "./options.ts";
import { choiceOf, cratesHelp, mirrorHelp, realiseOptions } from "./realise-options.ts";

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
  all: flag,
  export: { type: "string" },
  import: { type: "string" },
} as const;

type FetchCall = Call<typeof options>;

export const command = define({
  summary: "download all that a forge needs, build nothing",
  help,
  options,
  words: ANY,
  run(call): Promise<Answer | number> {
    const { values, words: names } = call;
    if (values.export !== undefined && values.import !== undefined)
      throw new Fault("E_USAGE", "--export and --import exclude each other");
    if (values.source.length > 0 && (values.export ?? values.import) !== undefined)
      throw new Fault("E_USAGE", "a file for another machine holds what channels pin: --source is not for it");
    if (values.all && names.length > 0) throw new Fault("E_USAGE", "--all is more than the targets that are named");
    const wish = { names, all: values.all };
    return values.import === undefined ? bring(call, wish) : takeIn(call, wish, values.import);
  },
});

async function bring(call: FetchCall, wish: Wish): Promise<Answer | number> {
  const { values, project, signal } = call;
  const { channel: channels, export: file } = values;
  const choice = choiceOf({ ...values, channel: "" });
  const fetched = await fetchAll(project, { wish, channels, choice, signal, view: openView(call) });
  if (fetched === undefined) return 1;
  if (file === undefined) return 0;
  const { index, bytes } = await exportSources(project, wish, fetched, file, signal);
  const then = `\`anvil fetch --import ${file}\` takes them in`;
  return {
    text: [`${file}: ${contents(index)}, ${megabytes(bytes)}; ${then}`],
    document: { file, ...facts(index), bytes, taken: index.files.length },
    oneLine: true,
  };
}

async function takeIn({ values, project, signal }: FetchCall, wish: Wish, file: string): Promise<Answer> {
  const { channel: channels } = values;
  const acceptUnverified = new Set(values["accept-unverified"]);
  const { index, taken } = await importSources(project, file, { channels, wish, acceptUnverified, signal });
  const bytes = taken.reduce((sum, each) => sum + each.bytes, 0);
  const took = `took ${taken.length} of ${contents(index)}, ${megabytes(bytes)}; a forge of them needs no network now`;
  return {
    text: [taken.length === 0 ? `nothing to do: what is wanted of ${file} is here` : took],
    document: { file, ...facts(index), bytes, taken: taken.length },
    oneLine: true,
  };
}

const facts = ({ channels, files }: BundleIndex) => ({
  channels: channels.map(({ name }) => name),
  files: files.length,
});

function contents(index: BundleIndex): string {
  const { channels, files } = facts(index);
  return `${files} files for ${channels.join(", ")}`;
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
