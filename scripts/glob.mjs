// Files below a folder with a given ending, relative to the root, sorted.
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";

export function globSync(root, folder, ending) {
  const top = path.join(root, folder);
  if (!existsSync(top)) return [];
  return readdirSync(top, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => path.relative(root, path.join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
}
