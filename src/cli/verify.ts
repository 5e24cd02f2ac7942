import { readdirSync } from "node:fs";
import type { Digest } from "../recipe/derivation.ts";
import { removeTree } from "../store/store.ts";
import { openStore, parse, type Command } from "./command.ts";

const help = `
usage: anvil verify [options]

Reads every output and download in the store again and compares it with its recorded hash. What is damaged is removed:
the next forge makes it again.

  --keep   only report, remove nothing
  --json   one document: {outputs, sources, damaged: [name]}

examples:
  anvil verify
  anvil verify --keep --json

exit status: 0 all sound, 1 something was damaged
`;

const options = { keep: { type: "boolean", default: false }, json: { type: "boolean", default: false } } as const;

export const command: Command = {
  summary: "compare everything in the store with its hash",
  help,
  async run(args) {
    const { values } = parse(args, help, options);
    const store = openStore();
    const damaged: string[] = [];
    const records = store.records();
    for (const record of records) {
      if (await store.isSound(record.key)) continue;
      damaged.push(`${record.name} ${record.version} (${record.key.slice(0, 12)})`);
      if (!values.keep) store.remove(record.key);
    }
    const sources = readdirSync(store.paths.sources).filter((name) => /^[0-9a-f]{64}$/.test(name)) as Digest[];
    for (const sha256 of sources) {
      if (store.isSourceSound(sha256)) continue;
      damaged.push(`source ${sha256}`);
      if (!values.keep) store.removeSource(sha256);
    }
    if (!values.keep) store.strays().forEach(removeTree);
    if (values.json) {
      process.stdout.write(`${JSON.stringify({ outputs: records.length, sources: sources.length, damaged })}\n`);
    } else {
      damaged.forEach((name) => process.stdout.write(`damaged  ${name}${values.keep ? "" : ": removed"}\n`));
      const sum = `${records.length} outputs and ${sources.length} downloads read, ${damaged.length} damaged`;
      process.stdout.write(`${sum}\n`);
    }
    return damaged.length === 0 ? 0 : 1;
  },
};
