import path from "node:path";
import { build, targetsToForge } from "../project/build.ts";
import { publish, type Published } from "../project/publish.ts";
import { count } from "../ui/units.ts";
import { builderOf, buildOptions } from "./build-options.ts";
import { ANY, command as define } from "./command.ts";
import { loginOptions, rootLoginOf, sourceHelp } from "./options.ts";
import { cratesHelp, mirrorHelp } from "./realise-options.ts";

const help = `
usage: anvil forge [target…] [options]

Builds what is missing and proves it. An ISO is put into out/, with its manifest; other results stay in the store. Without a
target: the ISO.

  --channel <name>            versions and places of the sources; the first build chooses it for this folder,
                              \`anvil channel\` changes it (default: a channel that was built whole)
  -j, --jobs <n>              processes that compute at once, over all packages (default: all cores)
  --keep-going                after a failure go on with what does not depend on it
  --accept-from-vm <ingot>    also use what a running Monolith built for this ingot (\`anvil inject --in vm\`), which is
                              not known to be what the sandbox would make; may be repeated
  --accept-unverified <name>  use a source whose pin is marked doubtful; may be repeated
  --no-preflight              of a channel that was never built whole: compile without looking at its sources first
  ${sourceHelp}
  ${mirrorHelp}
  ${cratesHelp}
  --no-root-login             an ISO whose consoles, rescue and boot menu give nobody a shell. The default when there are
                              SSH keys to let in: ~/.config/anvil/authorized_keys
  --root-login                an ISO whose consoles are a root shell without a password; the default otherwise
  --out <folder>              where results are put (default: out)
  --json                      one JSON object per event (docs/events.md)
  --plain                     lines, even on a terminal

examples:
  anvil forge
  anvil forge linux -j 4
  anvil forge --no-root-login
  anvil forge --channel debian --json > events.jsonl

Each step has limits, which ANVIL_STEP_MEMORY=12G, ANVIL_STEP_PROCESSES=20000 and ANVIL_STEP_FILE_SIZE=100G change and
"none" turns off.

The ISO accepts ingots that are signed with your key (\`anvil key\`), which the first forge makes.

exit status: 0 all there, 1 something failed, 2 wrong usage, 130 interrupted
`;

export const command = define({
  summary: "build the ISO, or the named recipes, from source",
  help,
  options: { ...buildOptions, ...loginOptions, out: { type: "string", default: "out" } },
  words: ANY,
  async run(call) {
    const { values, words, project, terminal } = call;
    const builder = await builderOf(call);
    const targets = await targetsToForge(project, words, rootLoginOf(values));
    const built = await build({ ...builder, targets });
    if (built === undefined) return 1;
    const published = await publish(project, built, builder.store, path.resolve(values.out));
    if (published !== undefined && !values.json)
      terminal.lines([whereItIs(values.out, published), whoGetsIn(published), ...whatIsLocal(published)]);
    return 0;
  },
});

function whereItIs(out: string, published: Published): string {
  const file = path.join(out, path.basename(published.file));
  return `${file} is there, with its manifest beside it; \`anvil boot${out === "out" ? "" : ` --iso ${file}`}\` boots it`;
}

function whatIsLocal({ local }: Published): string[] {
  return local.length === 0 ? [] : [`it is not what the channel pins: ${local.join(", ")}; the manifest says so`];
}

function whoGetsIn({ rootLogin, logins }: Published): string {
  const ssh = logins.length === 0 ? "nobody" : `the owners of ${count(logins.length, "key")}`;
  return rootLogin
    ? `root login is open: whoever reaches a console is root; over SSH ${ssh}. --no-root-login closes the consoles`
    : `root login is closed on every console; over SSH ${ssh}. --root-login opens the consoles`;
}
