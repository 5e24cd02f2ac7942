import { readdirSync } from "node:fs";
import type { Digest } from "../recipe/derivation.ts";
import { recordName } from "../store/garbage.ts";
import { removeTree } from "../store/store.ts";
import { parse, usage, type Command } from "./command.ts";
import { printJson, printLines } from "./print.ts";

const help = `
usage: anvil verify [options]

Reads every output and download in the store again and compares it with its recorded hash. What is damaged is removed:
the next forge makes it again. Records with a digest of an older version of anvil are brought up to date.

  --keep   only report, change nothing
  --json   one document: {outputs, sources, damaged: [name]}

examples:
  anvil verify
  anvil verify --keep --json

exit status: 0 all sound, 1 something was damaged, 2 wrong usage
`;

const options = { keep: { type: "boolean", default: false }, json: { type: "boolean", default: false } } as const;

export const command: Command = {
  summary: "compare everything in the store with its hash",
  help,
  async run(args, project) {
    const { values, positionals } = parse(args, help, options);
    if (positionals.length > 0) throw usage(`"${positionals[0]}" means nothing here`, help);
    const store = project.store;
    const damaged: string[] = [];
    const records = store.records();
    for (const record of records) {
      if (await store.check(record, { update: !values.keep })) continue;
      damaged.push(`${recordName(record)} (${record.key.slice(0, 12)})`);
      if (!values.keep) store.removeRecord(record);
    }
    const sources = readdirSync(store.paths.sources).filter((name) => /^[0-9a-f]{64}$/.test(name)) as Digest[];
    for (const sha256 of sources) {
      if (store.isSourceSound(sha256)) continue;
      damaged.push(`source ${sha256}`);
      if (!values.keep) store.removeSource(sha256);
    }
    if (!values.keep) (await store.strays()).forEach(removeTree);
    if (values.json) printJson({ outputs: records.length, sources: sources.length, damaged });
    else
      printLines([
        ...damaged.map((name) => `damaged  ${name}${values.keep ? "" : ": removed"}`),
        `${records.length} outputs and ${sources.length} downloads read, ${damaged.length} damaged`,
      ]);
    return damaged.length === 0 ? 0 : 1;
  },
};
