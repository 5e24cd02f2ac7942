import { preflight, type Preflighted } from "../project/preflight.ts";
import { jobCount, openView } from "./build-options.ts";
import { ANY, command as define } from "./command.ts";
import { flag, sourceHelp } from "./options.ts";
import { choiceOf, mirrorHelp, realiseOptions } from "./realise-options.ts";

const help = `
usage: anvil preflight [target…] [options]

Downloads the sources of the targets and looks at everything that recipes take for granted of them and that can be known without
compiling: archives and patches, texts that are changed, options of the kernel and of busybox, switches of configure, rules of makefiles,
files and folders. Says of each what does not hold, with its file. Without a target: the ISO and all ingots.

Before a forge of a channel that was never built whole this runs by itself.

  --all                       all targets that the channel has the sources of, tests of others included
  --channel <name>            another than the one of this folder (\`anvil channel\`)
  -j, --jobs <n>              processes that compute at once (default: all cores)
  --list                      also what holds
  --accept-unverified <name>  take a source whose pin is marked doubtful; may be repeated
  ${sourceHelp}
  ${mirrorHelp}
  --json                      one object per event, then one document: {channel, holds, assumptions: [{component, version, file,
                              what, holds, said}]}
  --plain                     lines, even on a terminal

examples:
  anvil preflight --channel rfc-0054
  anvil preflight zfs --list

exit status: 0 all of it holds, 1 something does not or cannot be had, 2 wrong usage, 130 interrupted
`;

export const command = define({
  summary: "say what in the sources is not as the recipes expect it",
  help,
  options: { ...realiseOptions, all: flag, jobs: { type: "string", short: "j" }, list: flag },
  words: ANY,
  async run(call) {
    const { values, words: names, project, signal } = call;
    const { all, list } = values;
    const jobs = jobCount(values.jobs);
    const found = await preflight(project, {
      names,
      all,
      jobs,
      signal,
      choice: choiceOf(values),
      view: openView(call),
    });
    if (found === undefined) return 1;
    const holds = found.assumptions.every((each) => each.holds);
    const document = { channel: found.channel, holds, assumptions: found.assumptions };
    return { text: asText(found, list), document, oneLine: true, status: holds ? 0 : 1 };
  },
});

/** Below each component what does not hold, or everything, and the sum. */
function asText({ channel, assumptions }: Preflighted, all: boolean): string {
  const broken = assumptions.filter(({ holds }) => !holds);
  const shown = all ? assumptions : broken;
  const components = [...new Map(shown.map(({ component, version }) => [component, version]))];
  const lines = components.flatMap(([component, version]) => [
    `${component} ${version}`,
    ...shown
      .filter((each) => each.component === component)
      .flatMap(({ holds, file, what, said }) => [
        `  ${holds ? "holds" : "fails"}  ${file === "." ? "" : `${file}: `}${what}`,
        ...said.map((line) => `         ${line}`),
      ]),
  ]);
  const about = `assumptions about ${new Set(assumptions.map(({ component }) => component)).size} sources`;
  const sum =
    broken.length === 0
      ? `channel ${channel}: all ${assumptions.length} ${about} hold`
      : `channel ${channel}: ${broken.length} of ${assumptions.length} ${about} do not hold`;
  return `${[...lines, sum].join("\n")}\n`;
}
