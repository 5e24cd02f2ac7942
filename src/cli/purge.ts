import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { examine, PROGRAM, refuseExisting, type Examined } from "../project/purge.ts";
import { command as define } from "./command.ts";
import { flag } from "./options.ts";

const help = `
usage: anvil purge --check <folder> [options]
       anvil purge --apply <folder> --to <new folder>

Says whether what is taken out of Firecracker before it is built can be taken out of the source in a folder: each change is
found by a text that has to stand exactly once in its file. Also counts the packages that the program is made of.

  --check <folder>   an unpacked source; it is only read
  --apply <folder>   copies it, without what is taken out, to a folder that does not exist yet
  --to <new folder>  that folder
  --json             one document: {of, holds, anchors: [{path, anchor, times, why}], complaints,
                     packages: {lock, before, after}}

examples:
  anvil purge --check firecracker-1.14.1
  anvil purge --apply firecracker-1.14.1 --to purged

exit status: 0 everything holds, 1 something moved or cannot be read, 2 wrong usage
`;

export const command = define({
  summary: "say whether the purge of Firecracker fits a source",
  help,
  options: { check: { type: "string" }, apply: { type: "string" }, to: { type: "string" }, json: flag },
  async run({ values: { check, apply, to, json }, project, terminal }) {
    const folder = check ?? apply;
    if (folder === undefined || (check !== undefined && apply !== undefined))
      throw new Fault("E_USAGE", "name one folder with --check or --apply");
    if ((apply === undefined) !== (to === undefined)) throw new Fault("E_USAGE", "--apply and --to go together");
    const target = to === undefined ? undefined : path.resolve(to);
    if (target !== undefined) refuseExisting(target);
    const examined = await examine(project, path.resolve(folder));
    // said also when it does not fit and nothing is written
    if (json) terminal.json(facts(examined), 1);
    else terminal.print(asTable(examined));
    if (target === undefined) return examined.result.complaints.length === 0 ? 0 : 1;
    await examined.writeTo(target);
    if (!json) terminal.print(`purged copy: ${target}\n`);
    return 0;
  },
});

function facts({ purge, result: { anchors, complaints }, packages }: Examined): object {
  return { of: purge.of, holds: complaints.length === 0, anchors, complaints, packages };
}

/** A line per file and what moved below it. */
function asTable({ purge, result: { anchors, complaints }, packages }: Examined): string {
  const paths = [...new Set(anchors.map((each) => each.path))];
  const width = Math.max(...paths.map((each) => each.length));
  const lines = paths.map((each) => {
    const own = anchors.filter((anchor) => anchor.path === each);
    return `${each.padEnd(width)}  ${own.filter(({ times }) => times === 1).length} of ${own.length}`;
  });
  const held = anchors.filter(({ times }) => times === 1).length;
  const sum =
    complaints.length === 0
      ? `${purge.of}: all ${anchors.length} anchors and ${purge.checks.length} checks hold`
      : `${purge.of}: ${held} of ${anchors.length} anchors hold`;
  const counted =
    packages === undefined
      ? []
      : [
          `packages: ${packages.lock.length} in Cargo.lock, ${packages.before.length} of them for ${PROGRAM}, ${packages.after.length} after`,
        ];
  return `${[...lines, ...complaints.map((each) => `  ${each}`), sum, ...counted].join("\n")}\n`;
}
