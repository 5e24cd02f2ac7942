// Runs a tier of the tests with Node's own runner: what the tier needs is forged first.
//   node scripts/test.mjs         unit tests and boots of the ISO
//   node scripts/test.mjs unit    without boots: needs only the seed's shell and tools
//   node scripts/test.mjs boot    only boots and what is built for them
//   node scripts/test.mjs long    what takes longer than a test run should: two to three hours on two cores
//   node scripts/test.mjs db      databases in the Monolith
//   node scripts/test.mjs db:long fifty power cuts under load
//   node scripts/test.mjs vmm     the monitor of micro virtual machines, in the Monolith: half an hour; needs go and cargo
//   node scripts/test.mjs vmm:api  those of its API, of another monitor too: the file that ANVIL_TEST_MONITOR names
//   node scripts/test.mjs vmm:long  the same things very often
//   node scripts/test.mjs crates  programs in Rust by their own lock files: half an hour; downloads their crates
//   node scripts/test.mjs hours   the compiler built by an emulated machine: a night; with KVM an hour
//   node scripts/test.mjs channels [name…]  each channel that was built whole, or the named: built, booted, installed, with
//                                 its ingots and PostgreSQL's tests, and its pools read by the others
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { bundleCli, bundleTests } from "./bundle.mjs";
import { globSync } from "./glob.mjs";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const tier = process.argv[2] ?? "all";
const all = globSync(root, "test", ".test.ts");
const inFolder = (name) => all.filter((file) => file.startsWith(`test/${name}/`));
const boots = inFolder("boot");
const long = inFolder("long");
const hours = inFolder("hours");
const db = inFolder("db");
const dbLong = inFolder("db-long");
const vmm = inFolder("vmm");
const vmmLong = inFolder("vmm-long");
const pools = inFolder("channels");
const crates = inFolder("crates");
const apart = [...boots, ...long, ...hours, ...db, ...dbLong, ...vmm, ...vmmLong, ...pools, ...crates];
const unit = all.filter((file) => !apart.includes(file));

const tiers = {
  unit: {
    forge: ["seed-base", "seed-vm", "seed-rust", "lint-c", "lint-rust", "lint-shell"],
    files: unit,
    concurrency: 2,
  },
  // each boot keeps both cores of a small machine busy
  boot: {
    forge: [
      "iso",
      "anvil-ingot-test",
      "dropbear",
      "ingot-tools",
      "gcc-torture-sample",
      "posix-tests-sample",
      "libc-testsuite",
    ],
    files: boots,
    concurrency: 1,
  },
  // the comparisons are tests by themselves
  long: {
    forge: ["iso", "ingot-cc", "self-hosting", "same-busybox", "same-zfs", "same-linux", "gcc-torture", "posix-tests"],
    files: long,
    concurrency: 1,
  },
  db: {
    forge: [
      "iso",
      "ingot-db",
      "postgres-regress",
      "postgres-isolation",
      "postgres-extensions",
      "postgres-strings-test",
      "postgres-terminal-test",
    ],
    files: db,
    concurrency: 1,
  },
  "db:long": { forge: ["iso", "ingot-db"], files: dbLong, concurrency: 1 },
  vmm: { forge: ["iso", "ingot-vmm", "anvilctl-test", "hostile-guest"], files: vmm, concurrency: 1 },
  "vmm:api": {
    forge: ["iso", "ingot-vmm"],
    files: vmm.filter((file) => /\/(?:api|sdk)\.test\.ts$/.test(file)),
    concurrency: 1,
  },
  "vmm:long": { forge: ["iso", "ingot-vmm"], files: vmmLong, concurrency: 1 },
  crates: { forge: ["seed-rust-bindgen", "anvil-cc"], files: crates, concurrency: 1 },
  hours: { forge: ["iso", "diverse-double-compilation"], files: hours, concurrency: 1 },
};

/** What tells channels apart, of each of them. */
const ofChannel = {
  forge: [
    ...["iso", "anvil-ingot-test", "dropbear", "ingot-tools", "ingot-db", "ingot-vmm"],
    ...["postgres-regress", "postgres-isolation", "postgres-extensions"],
  ],
  files: [
    ...["live", "install", "inject"].map((name) => `test/boot/${name}.test.ts`),
    ...["test/db/branches.test.ts", "test/vmm/guest.test.ts"],
  ],
  concurrency: 1,
};

function builtWhole() {
  const channels = globSync(root, "channels", ".json").map((file) => JSON.parse(readFileSync(path.join(root, file))));
  return channels.filter(({ proven }) => proven !== undefined).map(({ name }) => name);
}

function channelTiers(names) {
  return [
    ...names.map((name) => ({ ...ofChannel, env: { ANVIL_CHANNEL: name } })),
    { forge: [], files: pools, concurrency: 1, env: { ANVIL_CHANNELS: names.join(",") } },
  ];
}

function run(args, env) {
  const { status } = spawnSync(process.execPath, args, {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, ...env },
  });
  return status ?? 1;
}

async function runTier({ forge, files, concurrency, env }) {
  // tests command the system through its consoles, whatever SSH keys the user has
  if (forge.length > 0 && run(["bin/anvil", "forge", "--root-login", ...forge], env) !== 0) return 1;
  const built = files.map((file) => `dist/${file.replace(/\.ts$/, ".mjs")}`);
  return run(["--enable-source-maps", "--test", `--test-concurrency=${concurrency}`, ...built], env);
}

const several = {
  all: () => [tiers.boot, tiers.unit],
  channels: () => channelTiers(process.argv.length > 3 ? process.argv.slice(3) : builtWhole()),
};
const chosen = several[tier]?.() ?? [tiers[tier]];
if (chosen.includes(undefined)) {
  console.error(
    `there is no tier "${tier}": unit, boot, long, db, db:long, vmm, vmm:api, vmm:long, crates, hours, channels`,
  );
  process.exit(2);
}
await bundleCli();
await bundleTests();
let failed = false;
for (const each of chosen) failed = (await runTier(each)) !== 0 || failed;
process.exit(failed ? 1 : 0);
