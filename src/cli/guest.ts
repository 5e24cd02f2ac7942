import path from "node:path";
import { statSync } from "node:fs";
import { copyOut } from "../forge/publish.ts";
import { build, buildOptions, jobCount, openBuildStore } from "./build.ts";
import { parse, usage, type Command } from "./command.ts";
import { onInterrupt } from "./realise-options.ts";
import { print } from "./print.ts";

const help = `
usage: anvil guest [options]

Makes a minimal guest for anvil-vmm, or any monitor with Firecracker's API: the kernel of the Monolith as \`vmlinux\`, and
\`guest.cpio\`, an initramfs with busybox and a shell on the serial port. The ingot vmm holds the same two files, in
/ingots/vmm/active/usr/share/anvil-vmm/guest. docs/vmm.md has its kernel parameters.

  --out <folder>   where they are put (default: out)
  --json           one JSON object per event (docs/events.md)
  --plain          lines, even on a terminal

What is built takes the options of \`anvil forge\`: --channel, --jobs, --debian-mirror, --accept-unverified,
--accept-from-vm, --keep-going.

examples:
  anvil guest
  anvil guest --out /tmp/guest

exit status: 0 both are there, 1 something failed, 2 wrong usage, 130 interrupted
`;

const options = {
  ...buildOptions,
  out: { type: "string", default: "out" },
} as const;

const FILES = ["vmlinux", "guest.cpio"];

export const command: Command = {
  summary: "make a minimal guest for the monitor of micro virtual machines",
  help,
  async run(args, project) {
    const { values, positionals } = parse(args, help, options);
    if (positionals.length > 0) throw usage(`"${positionals[0]}" means nothing here`, help);
    const jobs = jobCount(values.jobs, help);
    const store = await openBuildStore(values, project);
    const interrupt = onInterrupt();
    try {
      const { signal } = interrupt;
      const built = await build({
        project,
        targets: [(await project.targets()).find("guest")],
        values,
        jobs,
        store,
        signal,
        silentWhenDone: true,
      });
      if (typeof built === "number") return built;
      const [key] = built.evaluation.targets;
      if (key === undefined) throw new Error("there is no target");
      for (const file of FILES) {
        const to = path.join(path.resolve(values.out), file);
        copyOut(path.join(store.outputPath(key), "usr/share/anvil-vmm/guest", file), to);
        if (!values.json) print(`${to}  ${statSync(to).size} bytes\n`);
      }
      return 0;
    } finally {
      interrupt.close();
    }
  },
};
