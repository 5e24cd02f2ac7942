/** Zstandard's decoder, for the agent that takes ingots. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, exists, noBuildPaths } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, command, tidyOutput } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

export const libzstd = recipe({
  name: "libzstd",
  licence: "BSD-3-Clause",
  source: source("zstd"),
  seed: seedBase,
  tools: [anvilCc],
  script: (versions) =>
    [
      anvilCcEnvironment(versions),
      "cd /build/zstd/lib\n",
      command("make", ["ZSTD_LIB_COMPRESSION=0", "libzstd.a"]),
      "install -D -m 644 -t /out/usr/lib libzstd.a\n",
      "install -D -m 644 -t /out/usr/include zstd.h zstd_errors.h\n",
      tidyOutput(),
    ].join(""),
  assumes: [
    assume("zstd").mention(["lib/Makefile"], "libzstd.a"),
    assume("zstd").mention(["lib/libzstd.mk", "lib/Makefile"], "ZSTD_LIB_COMPRESSION"),
    assume("zstd").paths("lib/zstd.h", "lib/zstd_errors.h"),
  ],
  proves: [exists("usr/lib/libzstd.a", "usr/include/zstd.h"), builtByAnvilCc(), noBuildPaths()],
});
