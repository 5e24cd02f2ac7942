/** The purge of a source in a folder: whether it fits, what it takes out, and a copy without that. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { cp, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { errno, Fault, reasonOf } from "../fault/fault.ts";
import { packagesOf, readLock } from "../format/cargo.ts";
import { makeNamedFolder } from "../host/make-folder.ts";
import { examinePurge, type Purge, type PurgeResult, type SourceFiles } from "../recipe/purge.ts";
import type { Project } from "./project.ts";

export interface Examined {
  readonly purge: Purge;
  readonly result: PurgeResult;
  readonly packages: Packages | undefined;
  /** Writes a copy of the source without what is taken out. Throws E_PURGE_ANCHOR and E_PURGE_CHECK when it does not fit. */
  writeTo(target: string): Promise<void>;
}

/** Only reads. Throws E_PURGE_SOURCE. */
export async function examine(project: Project, source: string): Promise<Examined> {
  const { purge } = (await project.targets()).catalogue;
  const before = readSource(source);
  const result = examinePurge(purge, before);
  return {
    purge,
    result,
    packages: countPackages(before, result),
    async writeTo(target) {
      refuseMoved(result);
      await writePurged(purge, source, target, before, result.files);
    },
  };
}

/** Throws E_USAGE: a copy never replaces anything. */
export function refuseExisting(target: string): void {
  if (existsSync(target)) throw new Fault("E_USAGE", `${target} exists already`);
}

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
    throw new Fault("E_PURGE_SOURCE", `cannot read the source: ${reasonOf(cause)}`, { cause });
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
export interface Packages {
  readonly lock: readonly string[];
  readonly before: readonly string[];
  readonly after: readonly string[];
}

export const PROGRAM = "firecracker";

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
  makeNamedFolder(path.dirname(target));
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
