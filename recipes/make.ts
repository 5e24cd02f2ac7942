/** GNU make, for whoever builds inside the Monolith. */
import { builtByAnvilCc, exists, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { configureMake } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

export const make = recipe({
  name: "make",
  licence: "GPL-3.0-or-later",
  source: source("make"),
  seed: seedBase,
  tools: [anvilCc],
  script: configureMake({
    component: "make",
    // a static program loads no objects
    configure: ["--disable-nls", "--disable-load", "--without-guile"],
  }),
  proves: [
    exists("usr/bin/make"),
    isStaticPie("usr/bin/make"),
    builtByAnvilCc(),
    noBuildPaths(),
    runs("usr/bin/make", "--version", /^GNU Make [4-9]\./),
  ],
});
