import type { Channel } from "../recipe/channel.ts";
import { loadAdvisories } from "../source/advisories.ts";
import { mirrorHas, mirrorReader } from "../source/archive-index.ts";
import { AuthorKeys } from "../source/author-keys.ts";
import { AuthorSites } from "../source/author-site.ts";
import { AUTO } from "../source/channel-choice.ts";
import { oneByOne } from "../source/mirror.ts";
import { isWritable, refreshChannel, type LockAccess } from "../source/lock.ts";
import { debianKeyring } from "../source/openpgp.ts";
import { writeChannel } from "../source/pin-changes.ts";
import type { ArchiveAccess } from "../source/signed-archive.ts";
import { allNews } from "../source/watch.ts";
import { parse, usage, type Command } from "./command.ts";
import { renderProblems, renderRefresh } from "./lock-text.ts";
import { complain, print, printJson, printLines } from "./print.ts";
import { mirrorHelp, mirrorOptions, mirrors, onInterrupt, type MirrorValues } from "./realise-options.ts";
import type { Project } from "../project/project.ts";
import { componentsOf, seedsOf } from "../project/targets.ts";

const help = `
usage: anvil lock [component or seed…] [options]

Compares the pins of a channel with what is published now. Its file says where: "places" name packages of a Debian archive,
"releases" the sites of authors. Without a name: the components that recipes name and, for the default channel, the seeds,
which all channels share. Nothing is written without --write.

From a Debian archive: the archive's signature covers the hashes of its indexes, and those the hashes of the files. A
release file older than the one seen before is refused; the channel's file keeps their dates. A version lower than the pin
is taken only for a component that is named, and a file that no mirror has is not pinned. Nothing is written unless all of
it could be locked.

From authors' sites: the newest version of the series, and its signature, by the keys in channels/keys; where its author
does not sign, the list of checksums, or a second place. A recorded pin becomes a signed one when the signature covers it.
A signed release without its signature is passed over. A site that does not answer is named, and the others go on; a
signature or hash that is wrong fails, and then nothing is written. Archives are downloaded, and kept for the forge.

The clock of the steps (epoch) stays.

  --channel <name>            another than the one of this folder (\`anvil channel\`)
  --write                     write the channel's file and channels/seed.json
  --check                     say what became known: newer versions, fixes in the packaging archives that the pins
                              lack, vulnerabilities that channels/advisories.json does not name, lists of checksums
                              that contradict a pin; downloads no archive of an author, writes nothing
  ${mirrorHelp}
  --accept-expired            take release files that are no longer valid: of an archive that stands still
  --keyring-root <dir>        where the package debian-archive-keyring was unpacked (default: /)
  --json                      one document: {channel, written, changes: [{name, before, after, evidence, signer}],
                              notes: [{name, why}], problems: [{name, fault}]}; with --check {channel, findings:
                              [{name, kind, what}]}

examples:
  anvil lock zfs
  anvil lock seed-clang
  anvil lock --write
  anvil lock --channel rfc-0054
  anvil lock --channel rfc-0054 linux openssl --write
  anvil lock --channel debian-next --write --accept-expired
  anvil lock --check

exit status: 0 the pins are what is published, or were written, or nothing became known; 1 they differ, could not be
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
  summary: "compare the pins with what is published",
  help,
  async run(args, project) {
    const { values, positionals } = parse(args, help, options);
    if (values.check && values.write) throw usage("--check writes nothing: leave out --write", help);
    const interrupt = onInterrupt();
    const { signal } = interrupt;
    const sites = authorSites(project, signal);
    const access: LockAccess = {
      archive: () => archiveAccess(project, values, signal),
      releases: () => ({ sites, keys: new AuthorKeys(project.root) }),
      signal,
    };
    try {
      const { channel: before } = await project.selectChannel(values.channel);
      if (values.check) return await check(project, before, access, positionals, values.json);
      const targets = (await project.targets()).all();
      const wanted = { components: componentsOf(targets), seeds: seedsOf(targets) };
      const refresh = await refreshChannel(project.root, before.name, access, wanted, positionals);
      const { channel, changes, notes, problems, newer } = refresh;
      const written = values.write && isWritable(refresh) && (changes.length > 0 || newer);
      if (written) await writeChannel(project.root, channel);
      if (values.json) printJson({ channel: channel.name, written, changes, notes, problems }, 1);
      else print(renderRefresh(refresh, { written, names: positionals }));
      if (!values.json) complain(renderProblems(problems));
      return problems.length === 0 && (changes.length === 0 || written) ? 0 : 1;
    } catch (error) {
      if (signal.aborted) return 130;
      throw error;
    } finally {
      await sites.close();
      interrupt.close();
    }
  },
};

async function check(
  project: Project,
  channel: Channel,
  access: LockAccess,
  names: readonly string[],
  json: boolean,
): Promise<number> {
  const known = await loadAdvisories(project.root);
  const findings = await allNews(channel, access, known, names);
  const lines = findings.map(({ name, what }) => `${name}  ${what}`);
  if (findings.length === 0) lines.push("nothing became known");
  if (json) printJson({ channel: channel.name, findings }, 1);
  else printLines(lines);
  return findings.length === 0 ? 0 : 1;
}

function authorSites({ store }: Project, signal: AbortSignal): AuthorSites {
  return new AuthorSites({ sources: store.paths.sources, folder: store.workFolder("lock"), signal });
}

async function archiveAccess(
  project: Project,
  values: MirrorValues & { readonly "keyring-root": string; readonly "accept-expired": boolean },
  signal: AbortSignal,
): Promise<ArchiveAccess> {
  const all = await mirrors(values, project);
  return {
    read: mirrorReader(all, signal),
    mirrors: oneByOne(all).map((each) => mirrorReader(each, signal)),
    has: mirrorHas(all, signal),
    keyring: await debianKeyring(values["keyring-root"]),
    acceptExpired: values["accept-expired"],
  };
}
