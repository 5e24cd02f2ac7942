import { Fault } from "../fault/fault.ts";
import { parseSize } from "../host/size.ts";
import { collect } from "../project/collect.ts";
import { command as define } from "./command.ts";
import { flag } from "./options.ts";

const help = `
usage: anvil gc [options]

Removes from the store what no channel's current plan uses: outputs of older recipes, their downloads and logs, kept
sandboxes of failed steps, what killed processes left. Nothing that \`anvil forge\` would need is removed, and nothing that
a process uses now.

  --keep <size>   instead of what no plan uses, remove the outputs and downloads that were not used for longest, until the
                  rest has at most <size> bytes: 20G, 500M. What of them is needed later is made again
  --dry-run       only say what would go
  --json          one document: {removed: [name], bytes}

examples:
  anvil gc --dry-run
  anvil gc --keep 20G

exit status: 0 done, 2 wrong usage
`;

export const command = define({
  summary: "remove what no current plan uses, or what was not used for longest",
  help,
  options: { keep: { type: "string" }, "dry-run": flag, json: flag },
  async run({ values, project }) {
    const dryRun = values["dry-run"];
    const keep = values.keep === undefined ? undefined : sizeOf(values.keep);
    const { names, bytes } = await collect(project, { dryRun, keep });
    const word = dryRun ? "would remove" : "removed";
    return {
      text: [...names.map((name) => `${word}  ${name}`), `${(bytes / 1e6).toFixed(1)} MB`],
      document: { removed: names, bytes },
    };
  },
});

function sizeOf(text: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined) throw new Fault("E_USAGE", `--keep wants a size such as 20G or 500M, not "${text}"`);
  return bytes;
}
