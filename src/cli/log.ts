import { createReadStream, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { parse, usage, type Command } from "./command.ts";
import { print, printStream } from "./print.ts";

const help = `
usage: anvil log <recipe> [options]

Prints the output of the newest build of a recipe. On a terminal control sequences in it are left out; a file or another
program gets it byte for byte.

  --path   only where the log is

examples:
  anvil log zfs | less

exit status: 0, or 1 when there is no log
`;

export const command: Command = {
  summary: "print the output of a build",
  help,
  async run(args, project) {
    const { values, positionals } = parse(args, help, { path: { type: "boolean", default: false } });
    const [name] = positionals;
    if (name === undefined || positionals.length > 1) throw usage("name one recipe", help);
    const { logs } = project.store.paths;
    const newest = readdirSync(logs)
      .filter((file) => file.replace(/-[0-9a-f]{16}\.log$/, "") === name)
      .map((file) => path.join(logs, file))
      .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0];
    if (newest === undefined)
      throw new Fault("E_NO_LOG", `${name} was not built here`, { hint: `anvil forge ${name}` });
    if (values.path) print(`${newest}\n`);
    else await printStream(createReadStream(newest));
    return 0;
  },
};
