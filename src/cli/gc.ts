import type { Digest, Key } from "../recipe/derivation.ts";
import { channelNames, loadChannel } from "../source/channel.ts";
import { findGarbage, type Needed } from "../store/garbage.ts";
import { parse, usage, type Command } from "./command.ts";
import { printJson, printLines } from "./print.ts";
import type { Project } from "../project/project.ts";

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
  async run(args, project) {
    const { values, positionals } = parse(args, help, options);
    if (positionals.length > 0) throw usage(`"${positionals[0]}" means nothing here`, help);
    const store = project.store;
    const garbage = await findGarbage(store, await needed(project));
    if (!values["dry-run"]) for (const each of garbage) await each.remove();
    const bytes = garbage.reduce((sum, each) => sum + each.bytes, 0);
    const word = values["dry-run"] ? "would remove" : "removed";
    if (values.json) printJson({ removed: garbage.map(({ name }) => name), bytes });
    else printLines([...garbage.map(({ name }) => `${word}  ${name}`), `${(bytes / 1e6).toFixed(1)} MB`]);
    return 0;
  },
};

/** What the plans of all channels need. */
async function needed(project: Project): Promise<Needed> {
  const { root } = project;
  const targets = await project.targets();
  const keys = new Set<Key>();
  const sources = new Set<Digest>();
  for (const name of await channelNames(root)) {
    const channel = await loadChannel(root, name);
    const { nodes } = project.evaluate(targets.of(channel), channel);
    for (const { key, derivation } of nodes.values()) {
      keys.add(key);
      if (derivation.kind === "fetch" && derivation.sha256 !== undefined) sources.add(derivation.sha256);
    }
  }
  return { keys, sources };
}
