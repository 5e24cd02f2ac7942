// Builds a channel whole, boots it and records that in its file, where the default is chosen from:
//   node scripts/prove-channel.mjs debian
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { bundleCli, bundleTests } from "./bundle.mjs";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const targets = ["iso", "ingot-cc", "ingot-db", "ingot-tools", "ingot-vmm"];
const boots = "dist/test/boot/live.test.mjs";
const result =
  "the ISO and the ingots cc, db, tools and vmm are built; it boots from PC BIOS and UEFI, as a CD, a USB stick and a disk";

const [name] = process.argv.slice(2);
if (name === undefined || !/^[a-z0-9][a-z0-9-]*$/.test(name)) {
  console.error("usage: node scripts/prove-channel.mjs <channel>");
  process.exit(2);
}

function run(...args) {
  const env = { ...process.env, ANVIL_CHANNEL: name };
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit", env });
  if (status !== 0) process.exit(status ?? 1);
}

/** The digest is the project's own. */
async function pinsOf() {
  const outfile = path.join(root, "dist/prove-channel.mjs");
  await build({
    absWorkingDir: root,
    entryPoints: ["src/source/channel.ts"],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
  });
  const { loadChannel, pinsDigest } = await import(pathToFileURL(outfile).href);
  return pinsDigest(await loadChannel(root, name));
}

await bundleCli();
await bundleTests();
const pins = await pinsOf();
run("bin/anvil", "forge", ...targets);
run("--test", boots);
if ((await pinsOf()) !== pins) {
  console.error("the pins were changed while the channel was built");
  process.exit(1);
}
const file = path.join(root, "channels", `${name}.json`);
const {
  name: same,
  description,
  default: standard,
  proven: _before,
  unproven: _unknown,
  ...rest
} = JSON.parse(readFileSync(file, "utf8"));
const proven = { date: new Date().toISOString().slice(0, 10), pins, result };
const marks = standard === undefined ? { proven } : { default: standard, proven };
writeFileSync(file, `${JSON.stringify({ name: same, description, ...marks, ...rest }, null, 2)}\n`);
console.log(`${name}: built whole, recorded in channels/${name}.json`);
