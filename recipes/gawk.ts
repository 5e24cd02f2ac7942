/** GNU awk: GCC's option tables and the kernel's tables are made by scripts that are tested with it. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { configureMake } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

export const gawk = recipe({
  name: "gawk",
  licence: "GPL-3.0-or-later",
  source: source("gawk"),
  seed: seedBase,
  tools: [anvilCc],
  script: configureMake({
    component: "gawk",
    // its persistent memory needs a program at a fixed address, its extensions a dynamic loader
    configure: [
      "--build=$ANVIL_TARGET",
      "--disable-nls",
      "--disable-pma",
      "--disable-extensions",
      "--disable-mpfr",
      "--without-readline",
    ],
    make: ["-C support"],
    install: ["gawk"],
    after: "install -D gawk /out/usr/bin/gawk\nln -s gawk /out/usr/bin/awk\n",
  }),
  assumes: [assume("gawk").targets("Makefile.in", "gawk"), assume("gawk").paths("support/Makefile.in")],
  proves: [
    isStaticPie("usr/bin/gawk"),
    builtByAnvilCc(),
    noBuildPaths(),
    runs("usr/bin/awk", ["BEGIN { print 6 * 7 }"], /^42$/),
  ],
});
