/**
 * Compile time and memory of ANVIL-CC (stage 3) against another compiler, on three programs as the recipes build them:
 * every file that is compiled for them, preprocessed once by ANVIL-CC, so that both read the same bytes.
 * `node dist/bench/compile.mjs <command…>`: the other compiler, such as Debian's gcc of the same major version, which has
 * to see the folders of this machine. Prints a markdown table. The processor time is the better of two runs.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { bash } from "../recipes/bash.ts";
import { busybox } from "../recipes/busybox.ts";
import { gawk } from "../recipes/gawk.ts";
import { seedBase } from "../recipes/seed.ts";
import { stage3 } from "../recipes/stages.ts";
import { zstdProgram } from "../recipes/zstd-program.ts";
import { exists } from "../src/recipe/proof.ts";
import { recipe, type Recipe } from "../src/recipe/recipe.ts";
import { removeTree } from "../src/host/remove-tree.ts";
import { make } from "./make.ts";
import { project } from "../test/this-project.ts";

const RUNS = 2;
const LEVELS = ["-O0", "-O2"] as const;
/** What one of the two does unasked, both are asked for. */
const FLAGS = ["-fPIE", "-fstack-protector-strong", "-w", "-fpreprocessed"] as const;

const other = process.argv.slice(2);
if (other.length === 0) {
  process.stderr.write("usage: node dist/bench/compile.mjs <command of the other compiler>\n");
  process.exit(2);
}

/** The preprocessed files of a program, one after the other numbered. */
function preprocessed(program: Recipe): Recipe {
  if (typeof program.script !== "string") throw new Error(`the script of ${program.name} depends on the version`);
  const script = program.script.replace(
    'export CC="$ANVIL_TARGET-gcc"',
    'export CC="$ANVIL_TARGET-gcc -save-temps=obj"',
  );
  if (script === program.script) throw new Error(`the script of ${program.name} names no compiler`);
  return recipe({
    name: `bench-${program.name}`,
    licence: program.licence,
    source: [...program.sources],
    files: [...program.files],
    seed: seedBase,
    tools: program.tools,
    link: program.link,
    script: `${script}
rm -r /out/*
n=100
for file in $(find /build -name '*.i' -size +1k | sort); do
  n=$((n + 1))
  cp "$file" /out/$n.i
done
`,
    proves: [exists("*.i")],
  });
}

const programs = [bash, gawk, zstdProgram];
const [anvilCc, tools, ...trees] = (await make(project.store, [stage3, busybox, ...programs.map(preprocessed)])) as [
  string,
  string,
  ...string[],
];
const ours = [path.join(anvilCc, "usr/bin/gcc")];

interface Use {
  /** Processor seconds. */
  seconds: number;
  /** Kilobytes of the largest process. */
  memory: number;
}

/** One run over all files, one after the other. */
function compile(command: readonly string[], level: string, tree: string): Use {
  const use: Use = { seconds: 0, memory: 0 };
  const out = mkdtempSync(path.join(os.tmpdir(), "anvil-bench-"));
  try {
    for (const file of readdirSync(tree)) {
      const words = [...command, level, ...FLAGS, "-c", path.join(tree, file), "-o", path.join(out, "o")];
      const { status, stderr } = spawnSync(path.join(tools, "usr/bin/time"), ["-v", ...words], { encoding: "utf8" });
      const of = (what: string): number => Number(new RegExp(`${what}.*: ([0-9.]+)`).exec(stderr)?.[1]);
      if (status !== 0) throw new Error(stderr);
      use.seconds += of("User time") + of("System time");
      use.memory = Math.max(use.memory, of("Maximum resident set size"));
    }
  } finally {
    removeTree(out);
  }
  return use;
}

const row = (...cells: readonly string[]): void => void process.stdout.write(`| ${cells.join(" | ")} |\n`);
row("program", "files", "flags", "ANVIL-CC", "other", "ratio", "memory", "other", "ratio");
row(...Array.from({ length: 9 }, () => "---"));
for (const [index, tree] of trees.entries()) {
  for (const level of LEVELS) {
    // in turn, so that what else the machine does meets both
    const runs = Array.from({ length: RUNS }, () => [compile(ours, level, tree), compile(other, level, tree)] as const);
    const best = (which: 0 | 1): number => Math.min(...runs.map((run) => run[which].seconds));
    const memory = (which: 0 | 1): number => Math.max(...runs.map((run) => run[which].memory));
    row(
      programs[index]?.name ?? "",
      String(readdirSync(tree).length),
      level,
      ...[best(0), best(1)].map((seconds) => `${seconds.toFixed(1)} s`),
      (best(0) / best(1)).toFixed(2),
      ...[memory(0), memory(1)].map((kilobytes) => `${(kilobytes / 1024).toFixed(0)} MiB`),
      (memory(0) / memory(1)).toFixed(2),
    );
  }
}
