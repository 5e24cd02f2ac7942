import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { auditOf, readManifest } from "../forge/manifest.ts";
import { audit, loadAdvisories, pinsOf, type ComponentAudit } from "../source/advisories.ts";
import { hashFile } from "../store/tree.ts";
import type { Project } from "./project.ts";
import { componentsOf, seedsOf } from "./targets.ts";

export interface Audited {
  /** A file, or a channel. */
  readonly of: string;
  readonly components: readonly ComponentAudit[];
}

/** What is known of the sources of an ISO or manifest, by today's knowledge. Throws E_MANIFEST. */
export async function auditFile(project: Project, file: string): Promise<Audited> {
  const known = await loadAdvisories(project.root);
  return { of: file, components: auditOf(readManifest(manifestFor(file)), known) };
}

/** What is known of the sources of recipes as a channel pins them; without names of those of the image. */
export async function auditTargets(project: Project, names: readonly string[], channelName: string): Promise<Audited> {
  const known = await loadAdvisories(project.root);
  const targets = (await project.targets()).named(names);
  const { channel } = await project.selectChannel(channelName);
  const wanted = componentsOf(targets);
  const seeds = seedsOf(targets).map(({ name }) => name);
  return { of: `channel ${channel.name}`, components: audit(pinsOf(channel, wanted, seeds), known, wanted) };
}

/** The manifest beside an ISO. Throws E_MANIFEST unless it is of these bytes. */
function manifestFor(file: string): string {
  if (!file.endsWith(".iso")) return file;
  const manifest = file.replace(/\.iso$/, ".manifest.json");
  const named = readManifest(manifest).files.find((each) => each.file === path.basename(file));
  const sha256 = hashFile(file);
  if (named?.sha256 === sha256) return manifest;
  throw new Fault("E_MANIFEST", `${manifest} is not of this ISO`, {
    details: [`the manifest names ${named?.sha256 ?? "no such file"}`, `the ISO is        ${sha256}`],
  });
}
