/**
 * What the forge adds to a step: a chain of trivial steps, each of which needs the one before it, against the bare
 * sandbox with the same command, started as often, and against Nix. Milliseconds per step.
 */
import { openSandbox, spawnSandbox } from "../src/sandbox/sandbox.ts";
import { handOver } from "../src/sandbox/user.ts";
import type { Recipe } from "../src/recipe/recipe.ts";
import { findNix, nixChain } from "./nix.ts";
import { Rig, step, temporaryFolder, type Cleanup } from "../test/forge/rig.ts";

export const STEPS = 60;

export interface ChainFigures {
  readonly forge: number;
  readonly bare: number;
  /** Undefined where Nix is not installed. */
  readonly nix: number | undefined;
}

/** Medians of `runs` runs, which alternate so that all meet the same machine. */
export async function measureChain(t: Cleanup, runs: number): Promise<ChainFigures> {
  const forge: number[] = [];
  const bare: number[] = [];
  const nix: number[] = [];
  const installed = findNix();
  for (let run = 0; run < runs; run++) {
    forge.push(await forgeChain(t));
    bare.push(await bareChain(t));
    if (installed !== undefined) nix.push(nixChain(t, installed, STEPS));
  }
  return { forge: median(forge), bare: median(bare), nix: installed === undefined ? undefined : median(nix) };
}

/** Sandbox, proof and store for each. The seed is hashed once before, as in any run: that is not a step's. */
async function forgeChain(t: Cleanup): Promise<number> {
  const rig = await Rig.make(t);
  const first = step("step-0", "echo 0 > /out/number");
  const steps: Recipe[] = [first];
  for (let i = 1; i <= STEPS; i++) {
    const before = steps.at(-1) as Recipe;
    steps.push(
      step(`step-${i}`, `read -r n < /in/${before.name}/number; echo $((n + 1)) > /out/number`, { inputs: [before] }),
    );
  }
  const done: number[] = [];
  const run = await rig.forge(steps.at(-1) as Recipe, {
    on: (event) => {
      if (event.type === "done") done.push(event.t);
    },
  });
  if (!run.ok || done.length !== STEPS + 1) throw new Error("the chain broke");
  if (rig.read(steps.at(-1) as Recipe, "number") !== `${STEPS}\n`) throw new Error("the chain does not count");
  return ((done.at(-1) as number) - (done[0] as number)) / STEPS;
}

async function bareChain(t: Cleanup): Promise<number> {
  const rig = await Rig.make(t);
  const folder = temporaryFolder(t);
  const env = { PATH: "/usr/bin" };
  const user = await openSandbox(rig.seedTree);
  handOver(user, [folder]);
  const spec = {
    bubblewrap: rig.seedTree,
    user,
    root: rig.seedTree,
    binds: [{ from: folder, at: "/out", writable: true }],
    env,
    cwd: "/out",
  };
  const started = performance.now();
  for (let i = 0; i < STEPS; i++) {
    const argv = ["/usr/bin/bash", "--norc", "-c", "echo 1 > /out/number"];
    const child = spawnSandbox(spec, argv, { stdio: ["ignore", "ignore", "ignore"] });
    const status = await new Promise((resolve) => child.on("close", resolve));
    if (status !== 0) throw new Error("the bare sandbox failed");
  }
  return (performance.now() - started) / STEPS;
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
