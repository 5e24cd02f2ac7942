import { Fault } from "../fault/fault.ts";
import { injectInto } from "../project/inject.ts";
import { injectView } from "../ui/inject.ts";
import { builderOf, buildOptions, viewOptions } from "./build-options.ts";
import { command as define } from "./command.ts";
import { connectHelp, connectOptions, flag } from "./options.ts";

const help = `
usage: anvil inject <name> [options]
       anvil inject --file <file> [options]

Sends an ingot into a running Monolith, where it is proven and becomes active in one step: builds what is missing of it,
signs it with your key (\`anvil key\`), or takes an ingot file as it is. What was interrupted goes on where it was.

  --in <place>         where it is built: sandbox (default), or vm, the Monolith itself. What both build must be the same.
                       An interrupted command is repeated: it finds the work that went on in the Monolith meanwhile.
                       What the Monolith built is used for this ingot alone: --accept-from-vm <ingot> uses it for others
  --file <file>        an ingot file, which \`anvil ingot export\` writes
  --allow-downgrade    even when a newer version is active
  --other-major        even when the active one is of another major version, whose data this one does not read
${connectHelp}
  --json               one JSON object per event (docs/events.md)
  --plain              lines, even on a terminal

What is built takes the options of \`anvil forge\`: --channel, --source, --jobs, --debian-mirror, --accept-unverified,
--accept-from-vm, --keep-going.

examples:
  anvil inject tools
  anvil inject cc --in vm
  anvil inject tools --to ssh://root@10.0.2.15
  anvil inject --file tools-1.10.0-0123456789ab.ingot

exit status: 0 active, 1 refused or failed, 2 wrong usage, 130 interrupted
`;

export const command = define({
  summary: "send an ingot into a running Monolith",
  help,
  options: {
    ...buildOptions,
    ...connectOptions,
    in: { type: "string", default: "sandbox" },
    file: { type: "string" },
    "allow-downgrade": flag,
    "other-major": flag,
  },
  words: [0, 1],
  named: "one ingot, or a file with --file",
  async run(call) {
    const {
      values,
      words: [name],
    } = call;
    const { to, machine, in: place, file } = values;
    if ((name === undefined) === (file === undefined))
      throw new Fault("E_USAGE", "name one ingot, or a file with --file");
    if (place !== "sandbox" && (place !== "vm" || name === undefined))
      throw new Fault("E_USAGE", `--in is sandbox or, for an ingot that is named, vm, not "${place}"`);
    const inMonolith = place === "vm";
    const sent = await injectInto({
      // what the Monolith builds is taken for this ingot alone
      builder: await builderOf(call, inMonolith && name !== undefined ? [name] : []),
      address: { to, machine },
      injectView: () => injectView(viewOptions(call)),
      from: name === undefined ? { file: file ?? "" } : { name, inMonolith },
      allowDowngrade: values["allow-downgrade"],
      otherMajor: values["other-major"],
    });
    return sent ? 0 : 1;
  },
});
