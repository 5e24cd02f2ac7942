import { existsSync, statSync, readdirSync, readFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";
import { packagesOf, readLock } from "../format/cargo.ts";
import { examinePurge, type Purge, type PurgeResult, type SourceFiles } from "../recipe/purge.ts";
import { parse, usage, type Command } from "./command.ts";
import { print, printJson } from "./print.ts";

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

const options = {
  check: { type: "string" },
  apply: { type: "string" },
  to: { type: "string" },
  json: { type: "boolean", default: false },
} as const;

export const command: Command = {
  summary: "say whether the purge of Firecracker fits a source",
  help,
  async run(args, project) {
    const { values, positionals } = parse(args, help, options);
    const folder = values.check ?? values.apply;
    if (positionals.length > 0) throw usage(`"${positionals[0] ?? ""}" means nothing here`, help);
    if (folder === undefined || (values.check !== undefined && values.apply !== undefined))
      throw usage("name one folder with --check or --apply", help);
    if ((values.apply === undefined) !== (values.to === undefined)) throw usage("--apply and --to go together", help);
    const target = values.to === undefined ? undefined : path.resolve(values.to);
    if (target !== undefined && existsSync(target)) throw usage(`${target} exists already`, help);

    const source = path.resolve(folder);
    const { purge } = (await project.targets()).catalogue;
    const before = readSource(source);
    const result = examinePurge(purge, before);
    const packages = countPackages(before, result);
    if (values.json) printJson(facts(purge, result, packages), 1);
    else print(asTable(purge, result, packages));
    if (target === undefined) return result.complaints.length === 0 ? 0 : 1;
    refuseMoved(result);
    await writePurged(purge, source, target, before, result.files);
    if (!values.json) print(`purged copy: ${target}\n`);
    return 0;
  },
};

/** The text files of a workspace, links passed over. Throws E_PURGE_SOURCE. */
function readSource(folder: string): SourceFiles {
  const files = new Map<string, string>();
  const read = (below: string): void => {
    for (const entry of readdirSync(path.join(folder, below), { withFileTypes: true })) {
      const name = below === "" ? entry.name : `${below}/${entry.name}`;
      if (name === ".git" || name === "build" || name === "target") continue;
      if (entry.isDirectory()) read(name);
      else if (entry.isFile()) files.set(name, readFileSync(path.join(folder, name), "utf8"));
    }
  };
  try {
    if (!statSync(folder).isDirectory()) throw notSource(`${folder} is no folder`);
    read("");
  } catch (cause) {
    if (errno(cause) === undefined) throw cause;
    throw new Fault("E_PURGE_SOURCE", `cannot read the source: ${(cause as Error).message}`, { cause });
  }
  if (!files.has("Cargo.toml") || !files.has("src/firecracker/Cargo.toml"))
    throw notSource(`${folder} holds no workspace of Firecracker`);
  return files;
}

function notSource(message: string): Fault {
  return new Fault("E_PURGE_SOURCE", message, {
    hint: "name the top of an unpacked source, with Cargo.toml and src/firecracker in it",
  });
}

/** Packages by name and version: all of the lock, and those that the monitor is built with, before and after. */
interface Packages {
  readonly lock: readonly string[];
  readonly before: readonly string[];
  readonly after: readonly string[];
}

const PROGRAM = "firecracker";

/** Nothing when there is no lock, or when the purge does not fit, as what remains is not known then. */
function countPackages(before: SourceFiles, { complaints, files }: PurgeResult): Packages | undefined {
  const text = before.get("Cargo.lock");
  if (text === undefined || complaints.length > 0) return undefined;
  const lock = readLock(text);
  return {
    lock: lock.map(({ id }) => id).sort(),
    before: packagesOf(lock, PROGRAM, manifests(before)),
    after: packagesOf(lock, PROGRAM, manifests(files)),
  };
}

function manifests(files: SourceFiles): Map<string, string> {
  const found = [...files].filter(([name]) => name.endsWith("/Cargo.toml"));
  return new Map(found.map(([, text]) => [/^name = "(.*)"$/m.exec(text)?.[1] ?? "", text]));
}

function refuseMoved({ anchors, complaints }: PurgeResult): void {
  if (complaints.length === 0) return;
  const allFound = anchors.every(({ times }) => times === 1);
  if (allFound)
    throw new Fault("E_PURGE_CHECK", "what has to go is still there", {
      details: complaints,
      hint: "the list of changes needs one more; docs/purge.md says how it is made",
    });
  throw new Fault("E_PURGE_ANCHOR", "the source is not the one that the purge was made for", {
    details: complaints,
    hint: "docs/purge.md says what to do when the source has moved",
  });
}

/** Everything beside the new place first, then one rename: a copy is whole or not there. */
async function writePurged(
  purge: Purge,
  source: string,
  target: string,
  before: SourceFiles,
  after: SourceFiles,
): Promise<void> {
  await mkdir(path.dirname(target), { recursive: true });
  const work = await mkdtemp(`${target}.`);
  try {
    const copy = path.join(work, "copy");
    await cp(source, copy, { recursive: true, verbatimSymlinks: true });
    for (const removed of [...before.keys()].filter((file) => !after.has(file))) await rm(path.join(copy, removed));
    for (const change of purge.changes)
      if ("removes" in change) await rm(path.join(copy, change.removes), { recursive: true, force: true });
    for (const [file, text] of after) if (before.get(file) !== text) await writeFile(path.join(copy, file), text);
    await rename(copy, target);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function facts(purge: Purge, { anchors, complaints }: PurgeResult, packages: Packages | undefined): object {
  return { of: purge.of, holds: complaints.length === 0, anchors, complaints, packages };
}

/** A line per file and what moved below it. */
function asTable(purge: Purge, { anchors, complaints }: PurgeResult, packages: Packages | undefined): string {
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
