import { readdirSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { evaluate } from "../forge/evaluate.ts";
import type { Digest } from "../recipe/derivation.ts";
import { channelNames, loadChannel } from "../source/channel.ts";
import { removeTree } from "../store/store.ts";
import { openStore, parse, projectRoot, readPins, type Command } from "./command.ts";
import { targetsOf } from "./targets.ts";

const help = `
usage: anvil gc [options]

Removes from the store what no channel's current plan uses: outputs of older recipes, their downloads and logs, kept
sandboxes of failed steps. Nothing that \`anvil forge\` would need is removed.

  --dry-run   only say what would go
  --json      one document: {removed: [name], bytes}

examples:
  anvil gc --dry-run

exit status: 0
`;

const options = { "dry-run": { type: "boolean", default: false }, json: { type: "boolean", default: false } } as const;

export const command: Command = {
  summary: "remove what no current plan uses",
  help,
  async run(args) {
    const { values } = parse(args, help, options);
    const store = openStore();
    const project = projectRoot();
    const keys = new Set<string>();
    const sources = new Set<string>();
    for (const name of await channelNames(project)) {
      const channel = await loadChannel(project, name);
      for (const { key, derivation } of evaluate(targetsOf(channel), {
        project,
        channel,
        pins: readPins(store, channel),
      }).nodes.values()) {
        keys.add(key);
        if (derivation.kind === "fetch" && derivation.sha256 !== undefined) sources.add(derivation.sha256);
      }
    }
    const removed: string[] = [];
    let bytes = 0;
    const remove = (name: string, size: number, act: () => void): void => {
      removed.push(name);
      bytes += size;
      if (!values["dry-run"]) act();
    };
    for (const record of store.records()) {
      if (!keys.has(record.key))
        remove(`${record.name} ${record.version}`, record.bytes, () => store.remove(record.key));
    }
    for (const file of readdirSync(store.paths.sources)) {
      const full = path.join(store.paths.sources, file);
      if (/^[0-9a-f]{64}$/.test(file) && !sources.has(file))
        remove(`download ${file.slice(0, 12)}`, statSync(full).size, () => {
          store.removeSource(file as Digest);
          rmSync(`${full}.checked`, { force: true });
        });
    }
    store.strays().forEach((folder) => remove(path.basename(folder), 0, () => removeTree(folder)));
    remove("kept sandboxes of failed steps", 0, () => removeTree(path.join(store.paths.top, "failed")));
    store.abandoned().forEach(removeTree);
    if (values.json) process.stdout.write(`${JSON.stringify({ removed, bytes })}\n`);
    else {
      removed.forEach((name) => process.stdout.write(`${values["dry-run"] ? "would remove" : "removed"}  ${name}\n`));
      process.stdout.write(`${(bytes / 1e6).toFixed(1)} MB\n`);
    }
    return 0;
  },
};
