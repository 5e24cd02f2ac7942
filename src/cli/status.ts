import { statfsSync } from "node:fs";
import { missing } from "../forge/forge.ts";
import { channelOptions, parse, type Command } from "./command.ts";
import { loginOptions, rootLoginOf } from "./command.ts";
import { printJson, printLines } from "./print.ts";

const help = `
usage: anvil status [target…] [options]

Says what a forge would have to do, and what the store holds.

  --channel <name>   another than the one of this folder (\`anvil channel\`)
  --root-login, --no-root-login   the ISO with or without a root shell on its consoles, as with \`anvil forge\`
  --json             one document: {channel, why, missing: [{name, version, kind}], store: {folder, outputs, bytes, free}}

examples:
  anvil status
  anvil status --json | jq '.missing[].name'

exit status: 0 nothing to do, 1 something is missing
`;

const options = { ...channelOptions, ...loginOptions, json: { type: "boolean", default: false } } as const;

export const command: Command = {
  summary: "say what a forge would have to do",
  help,
  async run(args, project) {
    const { values, positionals } = parse(args, help, options);
    const targets = (await project.targets()).named(positionals, rootLoginOf(values));
    const store = project.store;
    const { channel, why } = await project.selectChannel(values.channel);
    const evaluation = project.evaluate(targets, channel);
    const absent = missing(evaluation, store).map(({ derivation: { name, version, kind } }) => ({
      name,
      version,
      kind,
    }));
    const records = store.records();
    const bytes = records.reduce((sum, record) => sum + record.bytes, 0);
    const { bavail, bsize } = statfsSync(store.paths.top);
    const held = { folder: store.paths.top, outputs: records.length, bytes, free: bavail * bsize };
    if (values.json) {
      printJson({ channel: channel.name, why, missing: absent, store: held }, 1);
    } else {
      const built = absent.filter(({ kind }) => kind !== "fetch");
      const lines = [
        `channel ${channel.name}: ${why}`,
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
