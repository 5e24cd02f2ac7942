/** `anvil forge` when everything is there: seconds of the whole process, and what it reads. */
import { spawnSync } from "node:child_process";
import path from "node:path";
import { projectRoot, temporaryFolder, type Cleanup } from "../test/forge/rig.ts";
import { median } from "./chain.ts";
import type { Use } from "./watch-process.ts";
import { runWatched } from "./watched.ts";

const RUNS = 9;

export interface NoopFigures {
  /** Median of whole processes, from start to end. */
  readonly seconds: number;
  /** The same of `node -e 0`: what no program that runs on Node can be below. */
  readonly node: number;
  readonly use: Use;
}

/** Needs a finished `anvil forge`; throws when there is still something to do. */
export function measureNoop(t: Cleanup, targets: readonly string[]): NoopFigures {
  const out = path.join(temporaryFolder(t), "out");
  const args = [path.join(projectRoot, "bin/anvil"), "forge", ...targets, "--out", out, "--json"];
  const run = (argv: readonly string[]): { readonly seconds: number; readonly stdout: string } => {
    const started = performance.now();
    const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: "utf8", maxBuffer: 1 << 30 });
    if (status !== 0) throw new Error(`${argv.join(" ")}: ${stderr}`);
    return { seconds: (performance.now() - started) / 1000, stdout };
  };
  // puts the result into the folder
  if (/"type":"start"/.test(run(args).stdout)) throw new Error("there was something to do: run `anvil forge` first");
  const seconds: number[] = [];
  const node: number[] = [];
  for (let i = 0; i < RUNS; i++) {
    seconds.push(run(args).seconds);
    node.push(run(["-e", "0"]).seconds);
  }
  return { seconds: median(seconds), node: median(node), use: runWatched(t, args) };
}
