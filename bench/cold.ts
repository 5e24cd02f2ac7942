/**
 * A cold forge against the same commands by hand. The baseline runs every step's script, one after the other, in the
 * same sandbox with `make -j<n>`, and does nothing else: no store, no hashes, no proofs, no events. The forge runs with
 * an empty store whose downloads are there. Needs a finished `anvil forge`; takes twice as long as one.
 * `node dist/bench/cold.mjs [recipe…]`: only these recipes and not their inputs; default: all of the ISO.
 */
import { spawnSync } from "node:child_process";
import os from "node:os";
import path from "node:path";
import { stage, stepSandbox } from "../src/forge/step.ts";
import { defaultLimits } from "../src/sandbox/limits.ts";
import { openSandbox, spawnSandboxSync } from "../src/sandbox/sandbox.ts";
import { removeTree } from "../src/host/remove-tree.ts";
import { secondStore } from "../test/second-store.ts";
import { project } from "../test/this-project.ts";

const jobs = os.availableParallelism();
const only = new Set(process.argv.slice(2));
const store = project.store;
const { channel } = await project.selectChannel("auto");
const evaluation = project.evaluate([(await project.targets()).image(true)], channel);
const steps = [...evaluation.nodes.values()].filter(
  ({ derivation }) => derivation.kind === "step" && (only.size === 0 || only.has(derivation.name)),
);

const seconds = (started: number): number => (performance.now() - started) / 1000;

let byHand = 0;
for (const { derivation } of steps) {
  if (derivation.kind !== "step") continue;
  const work = store.workFolder(`by-hand-${derivation.name}`);
  const bubblewrap = store.outputs.path(derivation.root);
  const user = await openSandbox(bubblewrap);
  const limits = defaultLimits();
  stage(derivation, work, project.root, { user, limits });
  const sandbox = stepSandbox(derivation, work, { store, bubblewrap, user, limits });
  const env = { ...sandbox.env, MAKEFLAGS: `-j${jobs}`, JOBS: String(jobs) };
  const argv = ["/usr/bin/bash", "--norc", "/anvil/step.sh"];
  const started = performance.now();
  const { status, stderr } = spawnSandboxSync({ ...sandbox, env }, argv, { stdio: ["ignore", "ignore", "pipe"] });
  const took = seconds(started);
  if (status !== 0) throw new Error(`${derivation.name}: ${stderr.slice(-2000)}`);
  byHand += took;
  process.stderr.write(`by hand  ${derivation.name.padEnd(18)} ${took.toFixed(1)} s\n`);
  removeTree(work);
}

// The same steps in a store that has everything but their outputs.
const built = new Set(steps.map(({ derivation }) => derivation.name));
const everything = new Set(store.outputs.records().map(({ name }) => name));
const cache = secondStore(store, only.size === 0 ? everything : built);
const started = performance.now();
const forge = spawnSync(
  process.execPath,
  [
    path.join(project.root, "bin/anvil"),
    "forge",
    "--root-login",
    ...only,
    "--out",
    path.join(cache, "out"),
    "--channel",
    channel.name,
  ],
  {
    env: { HOME: os.homedir(), ANVIL_CACHE: cache },
    encoding: "utf8",
    maxBuffer: 1 << 30,
  },
);
const forged = seconds(started);
if (forge.status !== 0) throw new Error(forge.stdout.slice(-3000) + forge.stderr);
removeTree(cache);

process.stdout.write(
  `| ${only.size === 0 ? "the whole ISO" : [...only].join(", ")}, ${jobs} cores | seconds |\n|---|---|\n` +
    `| the same commands by hand, -j${jobs} | ${byHand.toFixed(0)} |\n| anvil forge, empty store | ${forged.toFixed(0)} |\n` +
    `| ratio | ${(forged / byHand).toFixed(2)} |\n`,
);
