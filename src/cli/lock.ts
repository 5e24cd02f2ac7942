import { Fault } from "../fault/fault.ts";
import { checkPins, lock } from "../project/lock.ts";
import { ANY, command as define } from "./command.ts";
import { renderProblems, renderRefresh } from "./lock-text.ts";
import { channelOptions, flag } from "./options.ts";
import { mirrorHelp, mirrorOptions } from "./realise-options.ts";

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

export const command = define({
  summary: "compare the pins with what is published",
  help,
  options: {
    ...mirrorOptions,
    ...channelOptions,
    write: flag,
    check: flag,
    "accept-expired": flag,
    "keyring-root": { type: "string", default: "/" },
    json: flag,
  },
  words: ANY,
  async run({ values, words: names, project, terminal, signal }) {
    const { write, check } = values;
    if (check && write) throw new Fault("E_USAGE", "--check writes nothing: leave out --write");
    const request = {
      channel: values.channel,
      names,
      places: { debian: values["debian-mirror"], security: values["debian-security-mirror"] },
      keyringRoot: values["keyring-root"],
      acceptExpired: values["accept-expired"],
      signal,
    };
    if (check) {
      const { channel, findings } = await checkPins(project, request);
      const lines = findings.map(({ name, what }) => `${name}  ${what}`);
      return {
        text: findings.length === 0 ? ["nothing became known"] : lines,
        document: { channel, findings },
        status: findings.length === 0 ? 0 : 1,
      };
    }
    const refresh = await lock(project, request, { write });
    const { channel, written, changes, notes, problems } = refresh;
    if (!values.json) terminal.complain(renderProblems(problems));
    return {
      text: renderRefresh(refresh, { written, names }),
      document: { channel: channel.name, written, changes, notes, problems },
      status: problems.length === 0 && (changes.length === 0 || written) ? 0 : 1,
    };
  },
});
