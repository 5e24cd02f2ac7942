import { statfsSync } from "node:fs";
import { missing } from "../forge/forge.ts";
import { localSources, unusedNotices } from "../forge/local-sources.ts";
import { channelOptions, parse, sourceHelp, sourceOptions, type Command } from "./command.ts";
import { loginOptions, rootLoginOf } from "./command.ts";
import { printJson, printLines } from "./print.ts";

const help = `
usage: anvil status [target…] [options]

Says what a forge would have to do, and what the store holds.

  --channel <name>   another than the one of this folder (\`anvil channel\`)
  ${sourceHelp}
  --root-login, --no-root-login   the ISO with or without a root shell on its consoles, as with \`anvil forge\`
  --json             one document: {channel, why, missing: [{name, version, kind}],
                     local: [{name, version, sha256, kind, file}], store: {folder, outputs, bytes, free}}

examples:
  anvil status
  anvil status --json | jq '.missing[].name'

exit status: 0 nothing to do, 1 something is missing
`;

const options = {
  ...channelOptions,
  ...sourceOptions,
  ...loginOptions,
  json: { type: "boolean", default: false },
} as const;

export const command: Command = {
  summary: "say what a forge would have to do",
  help,
  async run(args, project) {
    const { values, positionals } = parse(args, help, options);
    const targets = (await project.targets()).named(positionals, rootLoginOf(values));
    const store = project.store;
    const { channel, why } = await project.selectSources(values, { look: true });
    const evaluation = project.evaluate(targets, channel);
    const local = localSources(evaluation).map(([name, { version, sha256, local: origin }]) => ({
      name,
      version,
      sha256,
      ...origin,
    }));
    const absent = missing(evaluation, store)
      // a local source is here, if not in the store
      .filter(({ derivation }) => derivation.kind !== "fetch" || derivation.local === undefined)
      .map(({ derivation: { name, version, kind } }) => ({ name, version, kind }));
    const records = store.records();
    const bytes = records.reduce((sum, record) => sum + record.bytes, 0);
    const { bavail, bsize } = statfsSync(store.paths.top);
    const held = { folder: store.paths.top, outputs: records.length, bytes, free: bavail * bsize };
    if (values.json) {
      printJson({ channel: channel.name, why, missing: absent, local, store: held }, 1);
    } else {
      const built = absent.filter(({ kind }) => kind !== "fetch");
      const lines = [
        `channel ${channel.name}: ${why}`,
        ...unusedNotices(evaluation),
        absent.length === 0
          ? "nothing to do"
          : `to download: ${absent.length - built.length} files; to build: ${built.map(({ name }) => name).join(", ") || "nothing"}`,
        `store ${held.folder}: ${held.outputs} outputs, ${gigabytes(bytes)}; ${gigabytes(held.free)} free`,
      ];
      printLines(lines);
    }
    return absent.length === 0 ? 0 : 1;
  },
};

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
