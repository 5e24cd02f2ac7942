/**
 * Linters over what is not TypeScript: C, Rust, and shell in files and in the scripts of derivations. An output says what was
 * looked at; a finding ends the step.
 */
import { contains } from "../src/recipe/proof.ts";
import { isRecipe, recipe, seed, type Output, type Recipe, type Versions } from "../src/recipe/recipe.ts";
import { reachable } from "../src/recipe/reach.ts";
import { cargoEnvironment } from "../src/recipe/style.ts";
import { stepScript } from "../src/recipe/step.ts";
import { seedRust } from "./seed-rust.ts";

/** The headers are those of the seed: to be looked at, nothing has to be built. */
export const seedLint = seed("lint", [
  ...seedRust.packages,
  "clang-format-14",
  "clang-tidy-14",
  "libsodium-dev",
  "libssl-dev",
  "libzstd-dev",
  "rust-web-clippy",
  "rustfmt-web",
  "shellcheck",
]);

/** What is compiled with headers and names of PostgreSQL's own build, and what is no program of a system: a kernel. */
const withoutHeaders = "native/(postgres-witness/|postgres/(loader|tools)|hostile-guest/)";

export const lintC = recipe({
  name: "lint-c",
  licence: "Apache-2.0",
  files: ["native", ".clang-format", ".clang-tidy"],
  seed: seedLint,
  script: `
cd /files
find native -name '*.[ch]' | sort > /build/all
xargs clang-format-14 --dry-run --Werror < /build/all
grep '\\.c$' /build/all | grep -vE '${withoutHeaders}' > /build/units
cat > /build/lint.mk <<'END'
units := $(shell cat /build/units)
flags := -std=gnu11 -D_GNU_SOURCE -Inative/anvilctl -Inative/ingot
all: $(units)
.PHONY: all $(units)
$(units): ; @clang-tidy-14 --quiet $@ -- $(flags)
END
make -krs -f /build/lint.mk
echo "$(wc -l < /build/all) files in form, $(wc -l < /build/units) looked at" > /out/said
`,
  proves: [contains("said", /^\d+ files in form, \d+ looked at$/)],
});

export const lintRust = recipe({
  name: "lint-rust",
  licence: "Apache-2.0",
  crates: ["anvil-vmm"],
  files: ["native/anvil-vmm"],
  seed: seedLint,
  script: `
${cargoEnvironment()}cp -r /files/native/anvil-vmm /build/anvil-vmm
cd /build/anvil-vmm
find . -name '*.rs' > /build/all
xargs rustfmt --edition 2021 --check < /build/all
cargo clippy --offline --frozen --all-targets -j "$JOBS" -- --deny warnings
echo "$(wc -l < /build/all) files" > /out/said
`,
  proves: [contains("said", /^\d+ files$/)],
});

/** Codes of ShellCheck that are no fault in a script of a step, each with the reason. */
const fine = {
  SC1091: "a file that is read belongs to the system, not to the folder of the script",
  SC2001: "sed says what a parameter expansion hides",
  SC2010: "no name in a build folder holds a line's end",
  SC2012: "the same",
  SC2016: "awk, perl and make expand what stands in single quotes",
  SC2017: "sizes are rounded to whole units on purpose",
  SC2018: "letters are those of ASCII: LC_ALL is C",
  SC2019: "the same",
  SC2034: "a beginning that several scripts share sets what not each of them needs",
  SC2035: "no name in a build folder begins with a dash",
  SC2043: "a loop over one value is written from a list of one",
  SC2046: "lists of files and flags are split on purpose",
  SC2059: "bytes are written as escapes of printf",
  SC2086: "the same; values come from the recipe, not from outside",
  SC2129: "one line each says which file is written",
};

/** The same for scripts of the system, which meet what users and devices are called. */
const fineInSystem = {
  SC1091: "of what it reads, what has a directive is followed",
  SC2001: fine.SC2001,
  SC2013: "words are wanted",
  SC2015: "what follows `&&` does not fail, or its failure counts too",
  SC2016: fine.SC2016,
  SC2018: fine.SC2018,
  SC2019: fine.SC2019,
  SC2094: "the name is printed, nothing is written",
  SC3045: "busybox' read has -t",
};

/** Of the scripts of these and of all that they need, as far as the channel has their sources. */
export function lintShell(outputs: readonly Output[]): Recipe {
  const recipes = [...reachable(outputs)].filter(isRecipe);
  return recipe({
    name: "lint-shell",
    licence: "Apache-2.0",
    files: ["system"],
    seed: seedLint,
    script: (versions) => `
mkdir /build/steps
${recipes
  .filter(({ sources }) => sources.every(({ component }) => versions.has(component)))
  .map((each) => write(each, versions))
  .join("")}
cd /build/steps
shellcheck --shell=bash --exclude=${Object.keys(fine).join(",")} -- *
cd /files
grep -rlE '^#!/bin/(sh|bash)' system | sort > /build/all
xargs shellcheck --external-sources --exclude=${Object.keys(fineInSystem).join(",")} < /build/all
echo "$(ls /build/steps | wc -l) scripts of steps, $(wc -l < /build/all) of the system" > /out/said
`,
    proves: [contains("said", /^\d+ scripts of steps, \d+ of the system$/)],
  });
}

const END = "end-of-a-script-that-lint-shell-reads";

/** With the environment of a step, so that what it leaves unset is found. */
const write = (each: Recipe, versions: Versions): string => `\
cat > /build/steps/${each.name} <<'${END}'
export ANVIL_TARGET=x86_64-anvil-linux-musl JOBS=1 SOURCE_DATE_EPOCH=1 VERSION=1
set -euo pipefail
${stepScript(each, versions)}${END}
`;
