/** Runs a program of this project under `watch-process`. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { storePaths } from "../src/store/paths.ts";
import { bundled, temporaryFolder, type Cleanup } from "../test/forge/rig.ts";
import type { Use } from "./watch-process.ts";

/** Throws when the program does not end with 0. */
export function runWatched(t: Cleanup, args: readonly string[], cache?: string): Use {
  const report = path.join(temporaryFolder(t), "use.json");
  const env = {
    HOME: os.homedir(),
    ...(cache === undefined ? pick("ANVIL_CACHE", "XDG_CACHE_HOME") : { ANVIL_CACHE: cache }),
  };
  const watching = { ANVIL_BENCH_REPORT: report, ANVIL_BENCH_SOURCES: storePaths(env, os.homedir()).sources };
  const run = spawnSync(process.execPath, ["--import", bundled("bench/watch-process"), ...args], {
    env: { ...env, ...watching },
    encoding: "utf8",
    maxBuffer: 1 << 30,
  });
  if (run.status !== 0) throw new Error(`${args.join(" ")}: ${run.stdout.slice(-2000)}${run.stderr}`);
  return JSON.parse(readFileSync(report, "utf8")) as Use;
}

function pick(...names: string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
