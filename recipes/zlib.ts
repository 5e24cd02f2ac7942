/** Deflate compression, for OpenZFS. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, exists, noBuildPaths } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, tidyOutput } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

export const zlib = recipe({
  name: "zlib",
  licence: "Zlib",
  source: source("zlib"),
  seed: seedBase,
  tools: [anvilCc],
  script: (versions) =>
    [
      anvilCcEnvironment(versions),
      "cd /build/zlib\n",
      // not GNU's configure; CHOST keeps it from asking uname for the system
      'CHOST="$ANVIL_TARGET" ./configure --prefix=/usr --static\n',
      "make libz.a\n",
      "make DESTDIR=/out install\n",
      tidyOutput(),
    ].join(""),
  assumes: [
    assume("zlib").targets("Makefile.in", "libz.a", "install"),
    assume("zlib").text("configure", "--static"),
    assume("zlib").text("configure", "CHOST"),
  ],
  proves: [
    exists("usr/lib/libz.a", "usr/include/zlib.h", "usr/lib/pkgconfig/zlib.pc"),
    builtByAnvilCc(),
    noBuildPaths(),
  ],
});
