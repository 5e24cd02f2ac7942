import { verifyStore } from "../project/verify.ts";
import { command as define } from "./command.ts";
import { flag } from "./options.ts";

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

export const command = define({
  summary: "compare everything in the store with its hash",
  help,
  options: { keep: flag, json: flag },
  async run({ values: { keep }, project }) {
    const { outputs, sources, damaged } = await verifyStore(project, { keep });
    return {
      text: [
        ...damaged.map((name) => `damaged  ${name}${keep ? "" : ": removed"}`),
        `${outputs} outputs and ${sources} downloads read, ${damaged.length} damaged`,
      ],
      document: { outputs, sources, damaged },
      status: damaged.length === 0 ? 0 : 1,
    };
  },
});
