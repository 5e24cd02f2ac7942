// Writes the table of docs/channels.md anew, from the channel files and what their records say was built:
//   node scripts/channels-page.mjs
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const outfile = path.join(root, "dist/channels-page.mjs");
await build({
  absWorkingDir: root,
  entryPoints: ["test/docs/channels-table.ts"],
  outfile,
  bundle: true,
  platform: "node",
  format: "esm",
  packages: "external",
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
});
const { channelsTable, replaceTable } = await import(pathToFileURL(outfile).href);
const file = path.join(root, "docs/channels.md");
writeFileSync(file, replaceTable(readFileSync(file, "utf8"), await channelsTable()));
