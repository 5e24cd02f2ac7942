import path from "node:path";
import { makeGuest } from "../project/guest.ts";
import { builderOf, buildOptions } from "./build-options.ts";
import { command as define } from "./command.ts";

const help = `
usage: anvil guest [options]

Makes a minimal guest for anvil-vmm, or any monitor with Firecracker's API: the kernel of the Monolith as \`vmlinux\`, and
\`guest.cpio\`, an initramfs with busybox and a shell on the serial port. The ingot vmm holds the same two files, in
/ingots/vmm/active/usr/share/anvil-vmm/guest. docs/vmm.md has its kernel parameters.

  --out <folder>   where they are put (default: out)
  --json           one JSON object per event (docs/events.md)
  --plain          lines, even on a terminal

What is built takes the options of \`anvil forge\`: --channel, --source, --jobs, --debian-mirror, --accept-unverified,
--accept-from-vm, --keep-going.

examples:
  anvil guest
  anvil guest --out /tmp/guest

exit status: 0 both are there, 1 something failed, 2 wrong usage, 130 interrupted
`;

export const command = define({
  summary: "make a minimal guest for the monitor of micro virtual machines",
  help,
  options: { ...buildOptions, out: { type: "string", default: "out" } },
  async run(call) {
    const { values, terminal } = call;
    const files = await makeGuest(await builderOf(call), path.resolve(values.out));
    if (files === undefined) return 1;
    if (!values.json) terminal.lines(files.map(({ file, bytes }) => `${file}  ${bytes} bytes`));
    return 0;
  },
});
