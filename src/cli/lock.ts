import { seedClang } from "../../recipes/seed-clang.ts";
import { seedRust } from "../../recipes/seed-rust.ts";
import { seedBase, seedCc, seedVm } from "../../recipes/seed.ts";
import { mirrorReader } from "../source/archive-index.ts";
import { Archive, refreshChannel, writeChannel, type PinChange } from "../source/lock.ts";
import { debianKeyring } from "../source/openpgp.ts";
import { openStore, parse, projectRoot, usage, type Command } from "./command.ts";
import { mirrorHelp, mirrorOptions, mirrors, onInterrupt } from "./realise-options.ts";

const help = `
usage: anvil lock [component or seed…] [options]

Compares the pins of channel debian with what a Debian archive has now: the archive's signature covers the hashes of its
indexes, and those the hashes of the files. Without a name: all components, and the packages of all seeds. Nothing is
written without --write, and nothing unless all of it could be locked.

The pins of rfc-0054 are not found in an archive: they are edited by hand in channels/rfc-0054.json.

  --channel <name>            debian (default)
  --write                     write channels/debian.json and channels/seed.json
  ${mirrorHelp}
  --keyring-root <dir>        where the package debian-archive-keyring was unpacked (default: /)
  --json                      one document: {channel, written, changes: [{name, before, after}]}

examples:
  anvil lock zfs
  anvil lock seed-clang
  anvil lock --write

exit status: 0 the pins are what the archive has, or were written; 1 they differ, or could not be found; 2 wrong usage
`;

const options = {
  ...mirrorOptions,
  channel: { type: "string", default: "debian" },
  write: { type: "boolean", default: false },
  "keyring-root": { type: "string", default: "/" },
  json: { type: "boolean", default: false },
} as const;

export const command: Command = {
  summary: "compare the pins with the Debian archive",
  help,
  async run(args) {
    const { values, positionals } = parse(args, help, options);
    if (values.channel !== "debian")
      throw usage(`only channel debian is locked against an archive, not "${values.channel}"`, help);
    const interrupt = onInterrupt();
    try {
      const read = mirrorReader(await mirrors(values, openStore()), interrupt.signal);
      const archive = new Archive(read, await debianKeyring(values["keyring-root"]));
      const { channel, changes } = await refreshChannel(
        projectRoot(),
        archive,
        [seedBase, seedCc, seedClang, seedRust, seedVm],
        positionals,
      );
      const written = values.write && changes.length > 0;
      if (written) await writeChannel(projectRoot(), channel);
      process.stdout.write(
        values.json
          ? `${JSON.stringify({ channel: channel.name, written, changes }, null, 1)}\n`
          : renderText(changes, written, positionals),
      );
      return changes.length === 0 || written ? 0 : 1;
    } catch (error) {
      if (interrupt.signal.aborted) return 130;
      throw error;
    } finally {
      interrupt.close();
    }
  },
};

function renderText(changes: readonly PinChange[], written: boolean, names: readonly string[]): string {
  if (changes.length === 0)
    return `${names.length === 0 ? "all pins are" : `${names.join(", ")}: pinned`} as the archive has them\n`;
  const lines = changes.flatMap(({ name, before, after }) => [
    name,
    `  pinned   ${describe(before)}`,
    `  archive  ${describe(after)}`,
  ]);
  const end = written
    ? `${changes.length} written; the next forge builds what they change`
    : `${changes.length} differ; --write takes them over`;
  return `${[...lines, end].join("\n")}\n`;
}

function describe(pin: PinChange["before"]): string {
  return pin === undefined ? "–" : `${pin.version}  sha256 ${pin.sha256 ?? "unknown"}`;
}
