/** GNU make. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { configureMake } from "../src/recipe/style.ts";
import { olderThanC23 } from "./compiler.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

export const make = recipe({
  name: "make",
  licence: "GPL-3.0-or-later",
  source: source("make"),
  seed: seedBase,
  tools: [anvilCc],
  script: (versions) =>
    configureMake({
      component: "make",
      flags: { cflags: olderThanC23(versions) },
      // Debian's archive lacks the folder of the documentation
      before: "mkdir -p doc\ntouch doc/Makefile.in\n",
      // what it compiles runs here: tests of configure need not be guessed
      configure: ["--build=$ANVIL_TARGET", "--disable-nls", "--disable-load", "--without-guile"],
      make: ["-C lib"],
      install: ["install-binPROGRAMS"],
    })(versions),
  assumes: [assume("make").paths("lib/Makefile.in"), assume("make").targets("Makefile.in", "install-binPROGRAMS")],
  proves: [
    isStaticPie("usr/bin/make"),
    builtByAnvilCc(),
    noBuildPaths(),
    runs("usr/bin/make", "--version", /^GNU Make 4/),
  ],
});
