// Searches for requests that break the monitor (HTTP, JSON, the API), led by coverage; needs cargo on PATH.
//   npm run fuzz:vmm                       for ten minutes
//   npm run fuzz:vmm -- 3600 <folder>      for so many seconds; what leads to new places goes into the folder, which is
//                                          native/anvil-vmm/tests/data/corpus when absent, to be reviewed and committed
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const [seconds = "600", folder = path.join(root, "native/anvil-vmm/tests/data/corpus")] = process.argv.slice(2);
if (!/^[1-9]\d*$/.test(seconds)) {
  console.error(`"${seconds}" is no number of seconds`);
  process.exit(2);
}
const corpus = path.resolve(folder);
mkdirSync(corpus, { recursive: true });
const before = readdirSync(corpus).length;
const flags = [
  "-Cpasses=sancov-module",
  "-Cllvm-args=-sanitizer-coverage-level=3",
  "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
  "-Ccodegen-units=1",
  "-Clink-dead-code",
];
const args = ["test", "--release", "--locked", "--target", "x86_64-unknown-linux-gnu", "--features", "coverage"];
const { status, error } = spawnSync("cargo", [...args, "--test", "fuzz", "coverage", "--", "--nocapture"], {
  cwd: path.join(root, "native/anvil-vmm"),
  env: {
    ...process.env,
    RUSTFLAGS: flags.join(" "),
    CARGO_TARGET_DIR: path.join(root, "dist/fuzz-vmm"),
    ANVIL_FUZZ_SECONDS: seconds,
    ANVIL_FUZZ_CORPUS: corpus,
  },
  stdio: "inherit",
});
if (error !== undefined) console.error(`cargo cannot be started: ${error.message}`);
console.log(`${readdirSync(corpus).length - before} new files in ${corpus}`);
process.exit(status ?? 1);
