import type { Finding } from "../project/finding.ts";
import { checkMachine } from "../project/machine-checks.ts";
import { command as define } from "./command.ts";
import { flag } from "./options.ts";
import { cratesHelp, cratesOptions, mirrorHelp, mirrorOptions, placesOf } from "./realise-options.ts";

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

export const command = define({
  summary: "check whether this machine can forge and boot",
  help,
  options: { ...mirrorOptions, ...cratesOptions, json: flag },
  async run({ values, project, terminal }) {
    const checks: Finding[] = [];
    for await (const finding of checkMachine(project, placesOf(values))) {
      checks.push(finding);
      // line by line: some checks wait for the network or run a guest
      if (!values.json) terminal.print(asText(finding));
    }
    const ok = checks.every(({ level }) => level !== "fail");
    if (values.json) terminal.json({ ok, checks }, 1);
    return ok ? 0 : 1;
  },
});

function asText({ name, level, found, hint }: Finding): string {
  const line = `${level.padEnd(4)}  ${name.padEnd(8)}  ${found}\n`;
  return hint === undefined ? line : `${line}                hint: ${hint}\n`;
}
