/** Line editing and history for psql. What it asks of curses, the terminals, is a small file of our own. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, exists, noBuildPaths } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { configureMake } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

export const libedit = recipe({
  name: "libedit",
  licence: "BSD-3-Clause AND Apache-2.0",
  source: source("libedit"),
  files: ["native/termcap"],
  seed: seedBase,
  tools: [anvilCc],
  script: configureMake({
    component: "libedit",
    flags: { cppflags: ["-I/files/native/termcap"], ldflags: ["-L/build"] },
    configure: ["--disable-examples"],
    before: `\
$CC $CFLAGS -Wall -Wextra -Werror -c -o /build/termcap.o /files/native/termcap/termcap.c
$AR rcsD /build/libtermcap.a /build/termcap.o
`,
    after: "install -D -m 644 -t /out/usr/lib /build/libtermcap.a\n",
  }),
  assumes: [assume("libedit").paths("src/editline/readline.h", "src/Makefile.in")],
  proves: [
    exists("usr/lib/libedit.a", "usr/lib/libtermcap.a", "usr/include/editline/readline.h"),
    builtByAnvilCc(),
    noBuildPaths(),
  ],
});
