import { status } from "../project/plan.ts";
import { ANY, command as define } from "./command.ts";
import { sourceHelp, sourceOptions, flag, loginOptions, rootLoginOf } from "./options.ts";

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

export const command = define({
  summary: "say what a forge would have to do",
  help,
  options: { ...sourceOptions, ...loginOptions, json: flag },
  words: ANY,
  async run({ values, words, project }) {
    const wanted = { names: words, channel: values.channel, source: values.source, rootLogin: rootLoginOf(values) };
    const { notices, ...found } = await status(project, wanted);
    const { channel, why, missing, store } = found;
    const built = missing.filter(({ kind }) => kind !== "fetch").map(({ name }) => name);
    const todo = `to download: ${missing.length - built.length} files; to build: ${built.join(", ") || "nothing"}`;
    return {
      text: [
        `channel ${channel}: ${why}`,
        ...notices,
        missing.length === 0 ? "nothing to do" : todo,
        `store ${store.folder}: ${store.outputs} outputs, ${gigabytes(store.bytes)}; ${gigabytes(store.free)} free`,
      ],
      document: found,
      status: missing.length === 0 ? 0 : 1,
    };
  },
});

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
