/** Ingots that recipes make, built like anything else, then signed; and what is in an ingot. */
import { existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { makeNamedFolder } from "../host/make-folder.ts";
import { Ingot } from "../inject/ingot-file.ts";
import { isSignedBy, keyId, requireKey, trustedKeys } from "../inject/key-file.ts";
import { ingotKey, parseManifest, type Manifest } from "../inject/manifest.ts";
import type { Ingot as IngotRecipe } from "../recipe/ingot.ts";
import type { Key } from "../recipe/derivation.ts";
import { build, type Builder } from "./build.ts";
import type { Project } from "./project.ts";

/** The ingot of that name as the chosen channel makes it. Throws E_NO_TARGET, E_CHANNEL. */
export async function ingotNamed(name: string, { project, choice }: Builder): Promise<IngotRecipe> {
  const targets = await project.targets();
  targets.requireIngot(name);
  const { channel } = await project.selectSources(choice, { look: true });
  return targets.ingot(name, channel, new Set(choice.acceptUnverified));
}

/** Builds what is missing of an ingot and signs it; undefined when the build failed. Throws E_NO_KEY. */
export async function signedIngot(ingot: IngotRecipe, builder: Builder): Promise<Ingot | undefined> {
  // said before anything is built
  const key = requireKey(builder.project.keys);
  const folder = await ingotBody(ingot, builder);
  return folder === undefined ? undefined : Ingot.ofBody(folder, key);
}

/** The folder with `manifest` and `payload`; undefined when the build failed. */
async function ingotBody({ body }: IngotRecipe, builder: Builder): Promise<string | undefined> {
  const built = await build({ ...builder, targets: [body], silentWhenDone: true });
  return built === undefined ? undefined : builder.store.outputs.path(built.evaluation.targets[0] as Key);
}

/** Writes a signed ingot file; undefined when the build failed. Throws E_NO_TARGET, E_NO_KEY. */
export async function exportIngot(
  name: string,
  folder: string,
  builder: Builder,
): Promise<{ readonly file: string; readonly key: string } | undefined> {
  const ingot = await signedIngot(await ingotNamed(name, builder), builder);
  if (ingot === undefined) return undefined;
  try {
    makeNamedFolder(folder);
    const file = path.join(folder, ingot.fileName);
    await ingot.writeTo(file, builder.signal);
    return { file, key: ingot.key };
  } finally {
    await ingot.close();
  }
}

/** What is known of an ingot beside its manifest. */
export interface IngotFacts {
  readonly manifest: Manifest;
  readonly key: string;
  /** Of a file: the id of the accepted key that signed it; undefined when none of them did. */
  readonly signer: string | undefined;
  readonly isFile: boolean;
}

/** Whether a word means a file and no ingot's name. */
export function isIngotFile(name: string): boolean {
  return /[./]/.test(name) && existsSync(name) && statSync(name).isFile();
}

/** Throws E_NO_SUCH_FILE, E_INGOT_FILE, E_INGOT_MANIFEST. */
export async function ingotFileFacts({ keys }: Project, file: string): Promise<IngotFacts> {
  const ingot = await Ingot.ofFile(file);
  await ingot.close();
  const signer = trustedKeys(keys).find((key) => isSignedBy(key, ingot.bytes, ingot.signature));
  const { manifest, key } = ingot;
  return { manifest, key, signer: signer === undefined ? undefined : keyId(signer), isFile: true };
}

/** Builds what is missing of it; undefined when that failed. Throws E_NO_TARGET. */
export async function ingotFacts(name: string, builder: Builder): Promise<IngotFacts | undefined> {
  const folder = await ingotBody(await ingotNamed(name, builder), builder);
  if (folder === undefined) return undefined;
  const bytes = await readFile(path.join(folder, "manifest"));
  return { manifest: parseManifest(bytes), key: ingotKey(bytes), signer: undefined, isFile: false };
}
