/** GNU bison: the kernel's parsers (kconfig, dtc) are made from grammars. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, exists, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { configureMake } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

export const bison = recipe({
  name: "bison",
  licence: "GPL-3.0-or-later WITH Bison-exception-2.2",
  source: source("bison"),
  seed: seedBase,
  tools: [anvilCc],
  script: configureMake({
    component: "bison",
    configure: ["--build=$ANVIL_TARGET", "--disable-nls", "--disable-yacc", "M4=/usr/bin/m4"],
    // Debian's archive lacks the documentation, from which the sources of the examples are taken
    make: ["--eval=.SECONDEXPANSION:", "--eval='built: $$(filter lib/% src/%,$$(BUILT_SOURCES))'", "built"],
    install: [
      "install-binPROGRAMS",
      "install-dist_m4sugarDATA",
      "install-dist_pkgdataDATA",
      "install-dist_skeletonsDATA",
      "install-dist_xsltDATA",
    ],
  }),
  assumes: [
    assume("bison").targets(
      "Makefile.in",
      ...["install-binPROGRAMS", "install-dist_m4sugarDATA", "install-dist_pkgdataDATA", "install-dist_skeletonsDATA"],
      "install-dist_xsltDATA",
    ),
    assume("bison").text("Makefile.in", "\nBUILT_SOURCES ="),
  ],
  proves: [
    exists("usr/share/bison/m4sugar/m4sugar.m4", "usr/share/bison/skeletons/yacc.c"),
    isStaticPie("usr/bin/bison"),
    builtByAnvilCc(),
    noBuildPaths(),
    runs("usr/bin/bison", "--version", /^bison .*3\./),
  ],
});
