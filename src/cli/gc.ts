import { evaluate } from "../forge/evaluate.ts";
import type { Digest, Key } from "../recipe/derivation.ts";
import { channelNames, loadChannel } from "../source/channel.ts";
import { findGarbage, type Needed } from "../store/garbage.ts";
import type { Store } from "../store/store.ts";
import { openStore, parse, projectRoot, planOptions, usage, type Command } from "./command.ts";
import { printJson, printLines } from "./print.ts";
import { targetsOf } from "./targets.ts";

const help = `
usage: anvil gc [options]

Removes from the store what no channel's current plan uses: outputs of older recipes, their downloads and logs, kept
sandboxes of failed steps, what killed processes left. Nothing that \`anvil forge\` would need is removed.

  --dry-run   only say what would go
  --json      one document: {removed: [name], bytes}

examples:
  anvil gc --dry-run

exit status: 0 done, 2 wrong usage
`;

const options = { "dry-run": { type: "boolean", default: false }, json: { type: "boolean", default: false } } as const;

export const command: Command = {
  summary: "remove what no current plan uses",
  help,
  async run(args) {
    const { values, positionals } = parse(args, help, options);
    if (positionals.length > 0) throw usage(`"${positionals[0]}" means nothing here`, help);
    const store = openStore();
    const garbage = await findGarbage(store, await needed(store));
    if (!values["dry-run"]) for (const each of garbage) await each.remove();
    const bytes = garbage.reduce((sum, each) => sum + each.bytes, 0);
    const word = values["dry-run"] ? "would remove" : "removed";
    if (values.json) printJson({ removed: garbage.map(({ name }) => name), bytes });
    else printLines([...garbage.map(({ name }) => `${word}  ${name}`), `${(bytes / 1e6).toFixed(1)} MB`]);
    return 0;
  },
};

/** What the plans of all channels need. */
async function needed(store: Store): Promise<Needed> {
  const project = projectRoot();
  const keys = new Set<Key>();
  const sources = new Set<Digest>();
  for (const name of await channelNames(project)) {
    const channel = await loadChannel(project, name);
    const { nodes } = evaluate(targetsOf(channel), planOptions(store, channel));
    for (const { key, derivation } of nodes.values()) {
      keys.add(key);
      if (derivation.kind === "fetch" && derivation.sha256 !== undefined) sources.add(derivation.sha256);
    }
  }
  return { keys, sources };
}
