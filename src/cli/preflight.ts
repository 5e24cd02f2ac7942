import { realise } from "../forge/forge.ts";
import { findingsOf, planPreflight } from "../forge/preflight.ts";
import type { Finding } from "../recipe/preflight.ts";
import { chooseView } from "../ui/open.ts";
import { jobCount } from "./build.ts";
import { parse, type Command } from "./command.ts";
import { print, printJson } from "./print.ts";
import { downloads, mirrorHelp, onInterrupt, realiseOptions } from "./realise-options.ts";
import { recipesOf } from "../project/targets.ts";

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
  ${mirrorHelp}
  --json                      one object per event, then one document: {channel, holds, assumptions: [{component, version, file,
                              what, holds, said}]}
  --plain                     lines, even on a terminal

examples:
  anvil preflight --channel rfc-0054
  anvil preflight zfs --list

exit status: 0 all of it holds, 1 something does not or cannot be had, 2 wrong usage, 130 interrupted
`;

const options = {
  ...realiseOptions,
  all: { type: "boolean", default: false },
  jobs: { type: "string", short: "j" },
  list: { type: "boolean", default: false },
} as const;

export const command: Command = {
  summary: "say what in the sources is not as the recipes expect it",
  help,
  async run(args, project) {
    const { values, positionals } = parse(args, help, options);
    const jobs = jobCount(values.jobs, help);
    const store = project.store;
    const { channel, why } = await project.selectChannel(values.channel);
    const all = await project.targets();
    const named = positionals.length > 0 ? all.named(positionals) : [all.image(), ...all.ingotBodies(channel)];
    const targets = values.all ? all.of(channel) : named;
    const pins = project.pins(channel);
    const preflight = planPreflight(recipesOf(targets), all.catalogue.seeds.cc, {
      project: project.root,
      channel,
      pins,
    });
    const view = chooseView({ json: values.json, plain: values.plain, stream: process.stdout, env: process.env });
    const interrupt = onInterrupt();
    try {
      const places = downloads(values, project, preflight.evaluation);
      const note = await places.note();
      const outcome = await realise(preflight.evaluation, {
        project: project.root,
        store,
        why: note === "" ? why : `${why}; ${note}`,
        jobs,
        keepGoing: true,
        acceptUnverified: new Set(values["accept-unverified"]),
        mirrors: places.mirrors,
        crates: places.crates,
        onPin: (component, sha256) => project.keepPin(channel, component, sha256),
        expected: new Map(),
        signal: interrupt.signal,
        on: view,
      });
      if (interrupt.signal.aborted) return 130;
      const findings = findingsOf(preflight, outcome, store);
      const version = (component: string): string => channel.components[component]?.version ?? "";
      view.close();
      if (values.json) printJson(facts(channel.name, findings, version));
      else print(asText(channel.name, findings, { version, all: values.list }));
      return findings.every(({ holds }) => holds) ? 0 : 1;
    } finally {
      view.close();
      interrupt.close();
    }
  },
};

function facts(channel: string, findings: readonly Finding[], version: (component: string) => string): object {
  const assumptions = findings.map((each) => ({ ...each, version: version(each.component) }));
  return { channel, holds: findings.every(({ holds }) => holds), assumptions };
}

interface Wanted {
  readonly version: (component: string) => string;
  /** Also what holds. */
  readonly all: boolean;
}

/** Below each component what does not hold, and the sum. */
function asText(channel: string, findings: readonly Finding[], { version, all }: Wanted): string {
  const broken = findings.filter(({ holds }) => !holds);
  const shown = all ? findings : broken;
  const components = [...new Set(shown.map(({ component }) => component))];
  const lines = components.flatMap((component) => [
    `${component} ${version(component)}`,
    ...shown
      .filter((each) => each.component === component)
      .flatMap(({ holds, file, what, said }) => [
        `  ${holds ? "holds" : "fails"}  ${file === "." ? "" : `${file}: `}${what}`,
        ...said.map((line) => `         ${line}`),
      ]),
  ]);
  const about = new Set(findings.map(({ component }) => component)).size;
  const sum =
    broken.length === 0
      ? `channel ${channel}: all ${findings.length} assumptions about ${about} sources hold`
      : `channel ${channel}: ${broken.length} of ${findings.length} assumptions about ${about} sources do not hold`;
  return `${[...lines, sum].join("\n")}\n`;
}
