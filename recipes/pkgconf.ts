/** pkgconf: OpenZFS and util-linux find their libraries with it. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { configureMake } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

export const pkgconf = recipe({
  name: "pkgconf",
  licence: "ISC",
  source: source("pkgconf"),
  seed: seedBase,
  tools: [anvilCc],
  script: configureMake({
    component: "pkgconf",
    configure: ["--build=$ANVIL_TARGET", "--with-pkg-config-dir=/usr/lib/pkgconfig"],
    install: ["install-binPROGRAMS"],
  }),
  assumes: [assume("pkgconf").targets("Makefile.in", "install-binPROGRAMS")],
  proves: [
    isStaticPie("usr/bin/pkgconf"),
    builtByAnvilCc(),
    noBuildPaths(),
    runs("usr/bin/pkgconf", "--version", /^1\./),
  ],
});
