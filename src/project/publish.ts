/** Brings results out of the store to where the user wants them. */
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { describeLocal, localSources } from "../forge/local-sources.ts";
import { manifestOf } from "../forge/manifest.ts";
import { copyOut } from "../forge/publish.ts";
import { replaceFile } from "../host/replace-file.ts";
import { fingerprint } from "../inject/authorized-keys.ts";
import { keyId, trustedKeys } from "../inject/key-file.ts";
import { loadAdvisories } from "../source/advisories.ts";
import type { Store } from "../store/store.ts";
import { hashFile } from "../store/tree.ts";
import type { Plan } from "./plan.ts";
import type { Project } from "./project.ts";

/** An image that is there, and who can log in to its system. */
export interface Published {
  readonly file: string;
  readonly rootLogin: boolean;
  /** Fingerprints of SSH keys. */
  readonly logins: readonly string[];
  /** Sources of this machine that it is made from, in words. */
  readonly local: readonly string[];
}

/** Copies the image to a folder, with its manifest, unless it is there already. Undefined when the plan makes none. */
export async function publish(
  project: Project,
  { evaluation, why }: Plan,
  store: Store,
  folder: string,
): Promise<Published | undefined> {
  const targets = await project.targets();
  const { image } = targets.catalogue;
  let published: Published | undefined;
  for (const key of evaluation.targets) {
    const record = store.outputs.record(key);
    if (record === undefined) throw new Fault("E_STORE_DAMAGED", "an output vanished while it was copied");
    const rootLogin = record.name === image.name;
    if (!rootLogin && record.name !== `${image.name}${image.closed}`) continue;
    const from = path.join(store.outputs.path(key), image.file);
    const file = path.join(folder, image.file);
    const logins = targets.everyLogin().map(fingerprint);
    const local = localSources(evaluation).map(([name, component]) => describeLocal(name, component));
    published = { file, rootLogin, logins, local };
    const made = [key, ...local].join(" ");
    if (isSame(from, file, made)) continue;
    copyOut(from, file);
    const files = [{ file: image.file, bytes: statSync(file).size, sha256: hashFile(file) }];
    const trust = trustedKeys(project.keys).map(keyId);
    const known = await loadAdvisories(project.root);
    const manifest = manifestOf(evaluation, store, { why, files, trust, known, rootLogin, logins });
    replaceFile(manifestBeside(file), `${JSON.stringify(manifest, null, 1)}\n`);
    writeFileSync(stamp(file), stampOf(file, made));
  }
  return published;
}

/** Copies files of an output to a folder. Returns where each is, with its bytes. */
export function copyFiles(from: string, names: readonly string[], folder: string): { file: string; bytes: number }[] {
  return names.map((name) => {
    const file = path.join(folder, name);
    copyOut(path.join(from, name), file);
    return { file, bytes: statSync(file).size };
  });
}

const manifestBeside = (iso: string): string => `${iso.slice(0, -path.extname(iso).length)}.manifest.json`;

const stamp = (file: string): string => path.join(path.dirname(file), `.${path.basename(file)}.stamp`);

/** @param key what was published: the image's key, and the local sources, whose bytes may be those of pins */
function stampOf(file: string, key: string): string {
  const { size, mtimeMs } = statSync(file);
  return JSON.stringify({ key, size, mtimeMs });
}

/** Whether the copy is of this key and was not touched since. */
function isSame(from: string, to: string, key: string): boolean {
  return (
    existsSync(to) &&
    existsSync(stamp(to)) &&
    statSync(from).size === statSync(to).size &&
    readFileSync(stamp(to), "utf8") === stampOf(to, key)
  );
}
