/** flex: the kernel's lexers (kconfig, dtc) are made from patterns. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { configureMake } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

export const flex = recipe({
  name: "flex",
  licence: "BSD-3-Clause-flex",
  source: source("flex"),
  seed: seedBase,
  tools: [anvilCc],
  script: configureMake({
    component: "flex",
    configure: ["--build=$ANVIL_TARGET", "--disable-nls", "--disable-bootstrap", "M4=/usr/bin/m4"],
    make: ["-C src", "flex"],
    install: ["-C src", "install-binPROGRAMS"],
  }),
  assumes: [assume("flex").targets("src/Makefile.in", "flex", "install-binPROGRAMS")],
  proves: [
    isStaticPie("usr/bin/flex"),
    builtByAnvilCc(),
    noBuildPaths(),
    runs("usr/bin/flex", "--version", /^flex 2\./),
  ],
});
