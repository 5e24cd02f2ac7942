import { status } from "../project/plan.ts";
import { ANY, command as define } from "./command.ts";
import { channelOptions, flag, loginOptions, rootLoginOf } from "./options.ts";

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

export const command = define({
  summary: "say what a forge would have to do",
  help,
  options: { ...channelOptions, ...loginOptions, json: flag },
  words: ANY,
  async run({ values, words, project }) {
    const found = await status(project, { names: words, channel: values.channel, rootLogin: rootLoginOf(values) });
    const { channel, why, missing, store } = found;
    const built = missing.filter(({ kind }) => kind !== "fetch").map(({ name }) => name);
    const todo = `to download: ${missing.length - built.length} files; to build: ${built.join(", ") || "nothing"}`;
    return {
      text: [
        `channel ${channel}: ${why}`,
        missing.length === 0 ? "nothing to do" : todo,
        `store ${store.folder}: ${store.outputs} outputs, ${gigabytes(store.bytes)}; ${gigabytes(store.free)} free`,
      ],
      document: found,
      status: missing.length === 0 ? 0 : 1,
    };
  },
});

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
