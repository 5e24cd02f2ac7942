/** The program zstd: the kernel's image is packed with it. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, tidyOutput } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

export const zstdProgram = recipe({
  name: "zstd-program",
  licence: "BSD-3-Clause OR GPL-2.0-only",
  source: source("zstd"),
  seed: seedBase,
  tools: [anvilCc],
  script: (versions) =>
    [
      anvilCcEnvironment(versions),
      "cd /build/zstd\n",
      "make -C programs HAVE_ZLIB=0 HAVE_LZMA=0 HAVE_LZ4=0 BACKTRACE=0 zstd-release\n",
      "install -D programs/zstd /out/usr/bin/zstd\n",
      tidyOutput(),
    ].join(""),
  assumes: [
    assume("zstd").targets("programs/Makefile", "zstd-release"),
    ...["HAVE_ZLIB", "HAVE_LZMA", "HAVE_LZ4", "BACKTRACE"].map((name) =>
      assume("zstd").text("programs/Makefile", name),
    ),
  ],
  proves: [
    isStaticPie("usr/bin/zstd"),
    builtByAnvilCc(),
    noBuildPaths(),
    runs("usr/bin/zstd", "--version", /Zstandard CLI/),
  ],
});
