/** The program lz4: packs and unpacks at the speed of a disk. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, tidyOutput } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

export const lz4 = recipe({
  name: "lz4",
  licence: "GPL-2.0-or-later AND BSD-2-Clause",
  source: source("lz4"),
  seed: seedBase,
  tools: [anvilCc],
  script: (versions) =>
    [
      anvilCcEnvironment(versions),
      "cd /build/lz4\n",
      "mkdir -p /out/usr/bin\n",
      // its makefile compiles the same files, but asks uname for the system
      "$CC $CPPFLAGS -Ilib $CFLAGS $LDFLAGS -o /out/usr/bin/lz4 lib/*.c programs/*.c\n",
      "ln -s lz4 /out/usr/bin/unlz4\n",
      "ln -s lz4 /out/usr/bin/lz4cat\n",
      tidyOutput(),
    ].join(""),
  assumes: [assume("lz4").paths("lib/lz4.c", "programs/lz4cli.c", "lib/lz4.h")],
  proves: (versions) => [
    isStaticPie("usr/bin/lz4"),
    builtByAnvilCc(),
    noBuildPaths(),
    runs(
      "usr/bin/lz4",
      "--version",
      versions.atLeast("lz4", "1.10") ? /^\*\*\* lz4 v1\./ : /^\*\*\* LZ4 command line interface .* v1\./,
    ),
  ],
});
