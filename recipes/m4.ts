/** GNU m4: for the assembly of GMP, and as the engine of bison and flex. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { configureMake } from "../src/recipe/style.ts";
import { olderThanC23 } from "./compiler.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

export const m4 = recipe({
  name: "m4",
  licence: "GPL-3.0-or-later",
  source: source("m4"),
  seed: seedBase,
  tools: [anvilCc],
  script: (versions) =>
    configureMake({
      component: "m4",
      flags: { cflags: olderThanC23(versions) },
      configure: ["--build=$ANVIL_TARGET", "--disable-nls"],
      make: ["-C lib"],
      install: ["-C src", "install"],
    })(versions),
  assumes: [assume("m4").paths("lib/Makefile.in"), assume("m4").targets("src/Makefile.in", "install")],
  proves: [isStaticPie("usr/bin/m4"), builtByAnvilCc(), noBuildPaths(), runs("usr/bin/m4", "--version", /^m4 .*1\.4/)],
});
