/** GNU bash: runs the scripts of steps, and those of the kernel's build that ask for it. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { configureMake } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

export const bash = recipe({
  name: "bash",
  licence: "GPL-3.0-or-later",
  source: source("bash"),
  seed: seedBase,
  tools: [anvilCc],
  script: configureMake({
    component: "bash",
    configure: ["--build=$ANVIL_TARGET", "--disable-nls", "--disable-readline", "--without-bash-malloc"],
    make: ["bash"],
    install: ["bash"],
    after: "install -D bash /out/usr/bin/bash\n",
  }),
  assumes: [assume("bash").text("Makefile.in", "Program = bash")],
  proves: [
    isStaticPie("usr/bin/bash"),
    builtByAnvilCc(),
    noBuildPaths(),
    runs("usr/bin/bash", ["--norc", "-c", "set -o pipefail; a=(6 7); echo $((a[0] * a[1]))"], /^42$/),
  ],
});
