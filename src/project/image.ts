/**
 * The image of a user's folder: `anvil.image.ts`, compiled when it is needed. It imports what it is written in from
 * "anvilos", which is no package: the values are those of this program, so that a recipe of it is the same recipe there.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import type { BuildFailure, Message, Plugin } from "esbuild";
import { Fault } from "../fault/fault.ts";
import type { Image } from "../recipe/image.ts";

export const IMAGE_FILE = "anvil.image.ts";

/** What an image imports from "anvilos": the names that recipes and images are written in. */
export type Words = Readonly<Record<string, unknown>>;

/** The image of the folder, or undefined when there is none. Throws E_IMAGE, and what the file itself throws as a Fault. */
export async function findImage(folder: string, words: () => Promise<Words>): Promise<Image | undefined> {
  const file = path.join(folder, IMAGE_FILE);
  return existsSync(file) ? loadImage(file, await words()) : undefined;
}

const SHARED = Symbol.for("anvilos.words");

async function loadImage(file: string, words: Words): Promise<Image> {
  const code = await compile(file, words);
  (globalThis as Record<symbol, unknown>)[SHARED] = words;
  // places in what it throws are those of the user's own text
  process.setSourceMapsEnabled(true);
  const loaded = await load(file, code);
  if (isImage(loaded.default)) return loaded.default;
  throw new Fault("E_IMAGE", `${IMAGE_FILE} has no image`, {
    details: [file],
    hint: "it ends with `export default image({ name: … })`; `anvil init` writes one to start from",
  });
}

const isImage = (value: unknown): value is Image => (value as Partial<Image> | undefined)?.kind === "image";

/** One module with all that the file imports from beside it. No module of Node: an image is a value. */
async function compile(file: string, words: Words): Promise<string> {
  const { build } = await import("esbuild");
  try {
    const { outputFiles } = await build({
      entryPoints: [file],
      absWorkingDir: path.dirname(file),
      sourceRoot: `${path.dirname(file)}/`,
      bundle: true,
      write: false,
      format: "esm",
      platform: "neutral",
      target: "node20",
      sourcemap: "inline",
      logLevel: "silent",
      // settings of the folder are for its editor
      tsconfigRaw: {},
      plugins: [wordsPlugin(words)],
    });
    return outputFiles[0]?.text ?? "";
  } catch (error) {
    if (!isBuildFailure(error)) throw error;
    throw new Fault("E_IMAGE", `${IMAGE_FILE} cannot be compiled`, {
      details: error.errors.map(place),
      hint: 'it imports from "anvilos" and from files beside it; it has no modules of Node',
      cause: error,
    });
  }
}

const isBuildFailure = (error: unknown): error is BuildFailure =>
  error instanceof Error && Array.isArray((error as Partial<BuildFailure>).errors);

function place({ text, location }: Message): string {
  return location === null ? text : `${location.file}:${location.line}:${location.column + 1}: ${text}`;
}

function wordsPlugin(words: Words): Plugin {
  const exports = Object.keys(words).map((name) => `export const ${name} = words[${JSON.stringify(name)}];`);
  const contents = `const words = globalThis[Symbol.for("anvilos.words")];\n${exports.join("\n")}\n`;
  return {
    name: "anvilos",
    setup(build) {
      build.onResolve({ filter: /^anvilos$/ }, ({ path: name }) => ({ path: name, namespace: "anvilos" }));
      build.onLoad({ filter: /.*/, namespace: "anvilos" }, () => ({ contents, loader: "js" }));
    },
  };
}

/** By way of a file that is gone afterwards: only so are places in a stack those of the user's text. */
async function load(file: string, code: string): Promise<{ readonly default?: unknown }> {
  const folder = mkdtempSync(path.join(tmpdir(), "anvil-image-"));
  const module = path.join(folder, "image.mjs");
  try {
    writeFileSync(module, code);
    return (await import(pathToFileURL(module).href)) as { default?: unknown };
  } catch (error) {
    if (error instanceof Fault) throw error;
    const { message, stack = "" } = error as Error;
    const own = stack.split("\n").filter((line) => line.includes(path.dirname(file)));
    throw new Fault("E_IMAGE", `${IMAGE_FILE} ends with an error: ${message}`, {
      details: own.length > 0 ? own.map((line) => line.trim()) : [file],
      cause: error,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
