import type { Channel } from "../recipe/channel.ts";
import { loadAdvisories } from "../source/advisories.ts";
import { mirrorHas, mirrorReader } from "../source/archive-index.ts";
import { AUTO } from "../source/channel-choice.ts";
import { oneByOne } from "../source/mirror.ts";
import { refreshChannel, writeChannel, type Note, type PinChange } from "../source/lock.ts";
import { debianKeyring } from "../source/openpgp.ts";
import { Archive, type ArchiveAccess } from "../source/signed-archive.ts";
import { news } from "../source/watch.ts";
import { parse, usage, type Command, type World } from "./command.ts";
import { mirrors } from "../project/places.ts";
import { onInterrupt } from "./interrupt.ts";
import { mirrorHelp, mirrorOptions, type MirrorValues } from "./realise-options.ts";
import type { Project } from "../project/project.ts";
import { componentsOf, seedsOf } from "../project/targets.ts";

const help = `
usage: anvil lock [component or seed…] [options]

Compares the pins of a channel with what a Debian archive has now: the archive's signature covers the hashes of its
indexes, and those the hashes of the files. The channel's file says in "places" which package of which suites each
component is. Without a name: the components that recipes name and, for the default channel, the seeds, which all
channels share. Nothing is written without --write, and nothing unless all of it could be locked.

A release file older than the one seen before is refused; the channel's file keeps their dates. A version lower than
the pin is taken only for a component that is named, and a file that no mirror has is not pinned. The clock of the steps
(epoch) stays.

  --channel <name>            another than the one of this folder (\`anvil channel\`)
  --write                     write the channel's file and channels/seed.json
  --check                     say what became known: newer versions, fixes in the packaging archives that the pins
                              lack, vulnerabilities that channels/advisories.json does not name; writes nothing
  ${mirrorHelp}
  --accept-expired            take release files that are no longer valid: of an archive that stands still
  --keyring-root <dir>        where the package debian-archive-keyring was unpacked (default: /)
  --json                      one document: {channel, written, changes: [{name, before, after}], notes:
                              [{name, why}]}; with --check {channel, findings: [{name, kind, what}]}

examples:
  anvil lock zfs
  anvil lock seed-clang
  anvil lock --write
  anvil lock --channel debian-next --write --accept-expired
  anvil lock --check

exit status: 0 the pins are what the archive has, or were written, or nothing became known; 1 they differ, could not be
found, or something did; 2 wrong usage
`;

const options = {
  ...mirrorOptions,
  channel: { type: "string", default: AUTO },
  write: { type: "boolean", default: false },
  check: { type: "boolean", default: false },
  "accept-expired": { type: "boolean", default: false },
  "keyring-root": { type: "string", default: "/" },
  json: { type: "boolean", default: false },
} as const;

export const command: Command = {
  summary: "compare the pins with the Debian archive",
  help,
  async run(args, { project, terminal }) {
    const { values, positionals } = parse(args, help, options);
    if (values.check && values.write) throw usage("--check writes nothing: leave out --write", help);
    const interrupt = onInterrupt();
    try {
      const { channel: before } = await project.selectChannel(values.channel);
      const access = await archiveAccess(project, values, interrupt.signal);
      if (values.check) return await check({ project, terminal }, before, access, positionals, values.json);
      const targets = (await project.targets()).all();
      const wanted = { components: componentsOf(targets), seeds: seedsOf(targets) };
      const { channel, changes, notes, newer } = await refreshChannel(
        project.root,
        before.name,
        access,
        wanted,
        positionals,
      );
      const written = values.write && (changes.length > 0 || newer);
      if (written) await writeChannel(project.root, channel);
      if (values.json) terminal.json({ channel: channel.name, written, changes, notes }, 1);
      else terminal.print(renderText(changes, notes, written, positionals));
      return changes.length === 0 || written ? 0 : 1;
    } catch (error) {
      if (interrupt.signal.aborted) return 130;
      throw error;
    } finally {
      interrupt.close();
    }
  },
};

async function check(
  { project, terminal }: World,
  channel: Channel,
  access: ArchiveAccess,
  names: readonly string[],
  json: boolean,
): Promise<number> {
  const known = await loadAdvisories(project.root);
  const findings = await news(new Archive(access, channel), channel, known, names);
  const lines = findings.map(({ name, what }) => `${name}  ${what}`);
  if (findings.length === 0) lines.push("nothing became known");
  if (json) terminal.json({ channel: channel.name, findings }, 1);
  else terminal.lines(lines);
  return findings.length === 0 ? 0 : 1;
}

async function archiveAccess(
  project: Project,
  values: MirrorValues & { readonly "keyring-root": string; readonly "accept-expired": boolean },
  signal: AbortSignal,
): Promise<ArchiveAccess> {
  const all = await mirrors(project, { debian: values["debian-mirror"], security: values["debian-security-mirror"] });
  return {
    read: mirrorReader(all, signal),
    mirrors: oneByOne(all).map((each) => mirrorReader(each, signal)),
    has: mirrorHas(all, signal),
    keyring: await debianKeyring(values["keyring-root"]),
    acceptExpired: values["accept-expired"],
  };
}

function renderText(
  changes: readonly PinChange[],
  notes: readonly Note[],
  written: boolean,
  names: readonly string[],
): string {
  const proven = changes.filter(isOnlyProven);
  const others = changes.filter((change) => !proven.includes(change));
  const lines = others.flatMap(({ name, before, after }) => [
    name,
    `  pinned   ${describe(before)}`,
    `  archive  ${describe(after)}`,
  ]);
  if (proven.length > 0) lines.push(`${proven.length} recorded pins are the same in the signed index`);
  lines.push(...notes.map(({ name, why }) => `${name}  ${why}`));
  const same = names.length === 0 ? "all pins are" : `${names.join(", ")}: pinned`;
  lines.push(changes.length === 0 ? `${same} as the archive has them` : end(changes.length, written));
  return `${lines.join("\n")}\n`;
}

/** The same file; only that a signature covers it is new. */
function isOnlyProven({ before, after }: PinChange): boolean {
  const file = (pin: PinChange["before"]): string =>
    JSON.stringify([pin?.version, pin?.archive, pin?.sha256, pin?.files]);
  return before?.verified === "recorded" && file(before) === file(after);
}

function end(count: number, written: boolean): string {
  return written
    ? `${count} written; the next forge builds what they change`
    : `${count} differ; --write takes them over`;
}

function describe(pin: PinChange["before"]): string {
  return pin === undefined ? "–" : `${pin.version}  sha256 ${pin.sha256 ?? "unknown"}  ${pin.verified ?? ""}`.trim();
}
