/** Starts a folder with an image: copies one of the examples, and tells editors where the types are. */
import { cpSync, existsSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { makeNamedFolder } from "../host/make-folder.ts";
import { IMAGE_FILE } from "./image.ts";

/** Names of the images to start from: the folders of `examples/`. */
export function exampleNames(root: string): string[] {
  return readdirSync(path.join(root, "examples")).sort();
}

/**
 * Copies an example into the folder, which is made. Returns the names of the files. Throws E_IMAGE_EXISTS where there is an
 * image or another file of these names, E_DISK_FULL and E_READ_ONLY for a folder that cannot be made, and E_NO_TARGET for an example that there is not.
 */
export function startImage(root: string, folder: string, example: string): string[] {
  const names = exampleNames(root);
  if (!names.includes(example))
    throw new Fault("E_NO_TARGET", `there is no example "${example}"`, { hint: `examples: ${names.join(", ")}` });
  const from = path.join(root, "examples", example);
  const files = [...readdirSync(from).sort(), ...Object.keys(SETTINGS)];
  const taken = [IMAGE_FILE, ...files].find((name) => existsSync(path.join(folder, name)));
  if (taken !== undefined)
    throw new Fault("E_IMAGE_EXISTS", `${path.join(folder, taken)} is there already`, {
      hint: "nothing was written; take another folder",
    });
  makeNamedFolder(folder);
  for (const name of readdirSync(from)) cpSync(path.join(from, name), path.join(folder, name), { recursive: true });
  for (const [name, text] of Object.entries(SETTINGS)) writeFileSync(path.join(folder, name), text(root));
  return files;
}

const SETTINGS: Readonly<Record<string, (root: string) => string>> = {
  // for editors and for tsc; the forge does not read it
  "tsconfig.json": (root) => {
    const compilerOptions = {
      target: "ES2022",
      module: "preserve",
      strict: true,
      noEmit: true,
      allowImportingTsExtensions: true,
      skipLibCheck: true,
      types: [],
      paths: { anvilos: [path.join(root, "recipes/words.ts")] },
    };
    return `${JSON.stringify({ compilerOptions, include: ["*.ts"] }, null, 2)}\n`;
  },
  // results, and a path of this machine
  ".gitignore": () => "out/\ntsconfig.json\n",
};
