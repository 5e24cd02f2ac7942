import { newestLog, readLog } from "../project/log.ts";
import { command as define } from "./command.ts";
import { flag } from "./options.ts";

const help = `
usage: anvil log <recipe> [options]

Prints the output of the newest build of a recipe. On a terminal control sequences in it are left out; a file or another
program gets it byte for byte.

  --path   only where the log is

examples:
  anvil log zfs | less

exit status: 0, or 1 when there is no log
`;

export const command = define({
  summary: "print the output of a build",
  help,
  options: { path: flag },
  words: [1, 1],
  named: "one recipe",
  async run({ values, words: [name = ""], project, terminal }) {
    const file = newestLog(project, name);
    if (values.path) return { text: [file] };
    await terminal.stream(readLog(file));
    return 0;
  },
});
