/** The program bzip2: busybox packs its help texts with it. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, tidyOutput } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

export const bzip2 = recipe({
  name: "bzip2",
  licence: "bzip2-1.0.6",
  source: source("bzip2"),
  seed: seedBase,
  tools: [anvilCc],
  script: (versions) =>
    [
      anvilCcEnvironment(versions),
      "cd /build/bzip2\n",
      // its makefile sets them itself
      'make CC="$CC" AR="$AR" RANLIB="$RANLIB" CFLAGS="$CFLAGS -D_FILE_OFFSET_BITS=64" LDFLAGS="$LDFLAGS" bzip2\n',
      "install -D bzip2 /out/usr/bin/bzip2\n",
      tidyOutput(),
    ].join(""),
  assumes: [assume("bzip2").targets("Makefile", "bzip2"), assume("bzip2").paths("bzlib.h")],
  proves: [
    isStaticPie("usr/bin/bzip2"),
    builtByAnvilCc(),
    noBuildPaths(),
    runs("usr/bin/bzip2", "--help", /^bzip2, a block-sorting file compressor/),
  ],
});
