// Bundles the TypeScript sources into dist/: the command line and, with `--tests`, tests and benchmarks.
import { build } from "esbuild";
import { globSync } from "./glob.mjs";
import { fileURLToPath } from "node:url";
import path from "node:path";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

const common = {
  absWorkingDir: root,
  bundle: true,
  platform: "node",
  target: "node20",
  format: "esm",
  packages: "external",
  sourcemap: "linked",
  logLevel: "warning",
};

export async function bundleCli() {
  await build({
    ...common,
    entryPoints: { anvil: "bin/anvil.ts" },
    outdir: "dist",
    splitting: true,
    chunkNames: "chunk/[name]-[hash]",
    outExtension: { ".js": ".mjs" },
  });
}

export async function bundleTests() {
  await build({
    ...common,
    entryPoints: [...globSync(root, "test", ".ts"), ...globSync(root, "bench", ".ts")],
    outbase: root,
    outdir: "dist",
    splitting: true,
    chunkNames: "chunk/[name]-[hash]",
    outExtension: { ".js": ".mjs" },
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await bundleCli();
  if (process.argv.includes("--tests")) await bundleTests();
}
