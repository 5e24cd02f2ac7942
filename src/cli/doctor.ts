import type { Evaluation } from "../forge/evaluate.ts";
import { checkMachine, type Finding } from "./machine-checks.ts";
import { parse, usage, type Command } from "./command.ts";
import { print, printJson } from "./print.ts";
import { cratesHelp, cratesOptions, downloads, mirrorHelp, mirrorOptions, mirrors } from "./realise-options.ts";

const help = `
usage: anvil doctor [options]

Checks whether this machine can forge and boot: Node.js, the kernel and its user namespaces, cores, memory, disk, the
store, proxies, each kind of place that downloads come from (a Debian mirror, its security updates, upstream's release
sites, a registry of crates), the channel, KVM. Each line is ok, warn (it works, but not as well) or fail, with what to do.
The sandbox and KVM are tried for real once the seed is in the store.

  ${mirrorHelp}
  ${cratesHelp}
  --json                      one document: {ok, checks: [{name, level, found, hint}]}

examples:
  anvil doctor
  anvil doctor --json | jq '.checks[] | select(.level == "fail")'

exit status: 0 nothing fails, 1 something does, 2 wrong usage
`;

const options = { ...mirrorOptions, ...cratesOptions, json: { type: "boolean", default: false } } as const;

export const command: Command = {
  summary: "check whether this machine can forge and boot",
  help,
  async run(args, project) {
    const { values, positionals } = parse(args, help, options);
    if (positionals.length > 0) throw usage(`"${positionals[0]}" means nothing here`, help);
    const checks: Finding[] = [];
    const places = {
      mirrors: () => mirrors(values, project),
      places: (evaluation: Evaluation) => downloads(values, project, evaluation),
    };
    for await (const finding of checkMachine(project, places)) {
      checks.push(finding);
      // line by line: some checks wait for the network or run a guest
      if (!values.json) print(renderText(finding));
    }
    const ok = checks.every(({ level }) => level !== "fail");
    if (values.json) printJson({ ok, checks }, 1);
    return ok ? 0 : 1;
  },
};

function renderText({ name, level, found, hint }: Finding): string {
  const line = `${level.padEnd(4)}  ${name.padEnd(8)}  ${found}\n`;
  return hint === undefined ? line : `${line}                hint: ${hint}\n`;
}
