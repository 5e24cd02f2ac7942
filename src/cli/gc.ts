import { collect } from "../project/collect.ts";
import { command as define } from "./command.ts";
import { flag } from "./options.ts";

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

export const command = define({
  summary: "remove what no current plan uses",
  help,
  options: { "dry-run": flag, json: flag },
  async run({ values, project }) {
    const dryRun = values["dry-run"];
    const { names, bytes } = await collect(project, { dryRun });
    const word = dryRun ? "would remove" : "removed";
    return {
      text: [...names.map((name) => `${word}  ${name}`), `${(bytes / 1e6).toFixed(1)} MB`],
      document: { removed: names, bytes },
    };
  },
});
