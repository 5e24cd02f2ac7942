// Builds a channel, boots it and records that in its file, where the default is chosen from. Without names of recipes
// the whole of it: the ISO and all ingots.
//   node scripts/prove-channel.mjs debian
//   node scripts/prove-channel.mjs debian-12 iso ingot-db ingot-tools ingot-vmm
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { bundleCli, bundleTests } from "./bundle.mjs";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const whole = ["iso", "ingot-cc", "ingot-db", "ingot-tools", "ingot-vmm"];
const boots = "dist/test/boot/live.test.mjs";

const [name, ...named] = process.argv.slice(2);
if (name === undefined || ![name, ...named].every((each) => /^[a-z0-9][a-z0-9-]*$/.test(each))) {
  console.error("usage: node scripts/prove-channel.mjs <channel> [recipe…]");
  process.exit(2);
}
// what boots is built
const built = named.length === 0 ? whole : [...new Set(["iso", ...named])];
const not = whole.filter((each) => !built.includes(each));
const result = [
  `built are ${built.join(", ")}`,
  ...(not.length > 0 ? [`not ${not.join(", ")}`] : []),
  "the ISO boots from PC BIOS and UEFI, as a CD, a USB stick and a disk",
].join("; ");

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
run("bin/anvil", "forge", ...built);
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
const proven = { date: new Date().toISOString().slice(0, 10), pins, built, result };
const marks = standard === undefined ? { proven } : { default: standard, proven };
writeFileSync(file, `${JSON.stringify({ name: same, description, ...marks, ...rest }, null, 2)}\n`);
console.log(`${name}: built and booted, recorded in channels/${name}.json`);
