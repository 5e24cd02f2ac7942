import { runInSandbox } from "../project/shell.ts";
import { command as define } from "./command.ts";
import { sourceHelp, sourceOptions } from "./options.ts";

const help = `
usage: anvil shell <recipe> [options] [-- command…]

Opens a shell in the sandbox of a recipe: same root, inputs, environment and paths as its build. After a failed build it
is that build's own folder, as the step left it; else a fresh one, where \`bash /anvil/step.sh\` runs the whole step.
What is changed in a fresh one is gone when the shell ends.

  --channel <name>   another than the one of this folder (\`anvil channel\`)
  ${sourceHelp}

examples:
  anvil shell zfs
  anvil shell linux -- make -C /build/linux V=1

exit status: that of the shell
`;

export const command = define({
  summary: "open a shell in the sandbox of a recipe",
  help,
  options: sourceOptions,
  words: [1, 1],
  named: "one recipe",
  takesRest: true,
  run({ values: { channel, source }, words: [recipe = ""], rest: argv, project, terminal }) {
    return runInSandbox(project, {
      ...{ recipe, channel, source, argv, streams: terminal.streams },
      onOpen({ name, version }, failed) {
        const which = failed ? "the sandbox that failed" : "a fresh sandbox";
        if (argv.length === 0) terminal.complain(`${which} of ${name} ${version}; the step is /anvil/step.sh\n`);
      },
    });
  },
});
