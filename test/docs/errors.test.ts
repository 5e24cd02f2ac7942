import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = projectRoot(path.dirname(fileURLToPath(import.meta.url)));
const page = readFileSync(path.join(root, "docs/errors.md"), "utf8");
const documented = [...page.matchAll(/^\| `(E_[A-Z_]+)` +\|/gm)].map((match) => match[1] ?? "");

/** Where each code stands in the code: the first file by code. */
const used = new Map<string, string>();
for (const folder of ["src", "recipes", "system", "native"]) {
  for (const file of filesBelow(path.join(root, folder))) {
    for (const [code] of readFileSync(file, "utf8").matchAll(/\bE_[A-Z][A-Z_]*/g)) {
      if (!used.has(code)) used.set(code, path.relative(root, file));
    }
  }
}

/** The folder of package.json: a bundled test runs from a folder below dist. */
function projectRoot(folder: string): string {
  return existsSync(path.join(folder, "package.json")) ? folder : projectRoot(path.dirname(folder));
}

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(full) : entry.isFile() ? [full] : [];
  });
}

test("every code in the code is explained in docs/errors.md", () => {
  assert.ok(used.size > 0, "the codes were looked for in the right folders");
  const missing = [...used].filter(([code]) => !documented.includes(code)).map(([code, file]) => `${code} (${file})`);
  assert.deepEqual(missing, []);
});

test("every code in docs/errors.md is in the code, and stands there once", () => {
  assert.deepEqual(
    documented.filter((code) => !used.has(code)),
    [],
  );
  assert.deepEqual(documented, [...new Set(documented)]);
});
