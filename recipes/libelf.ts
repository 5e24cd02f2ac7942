/** libelf of elfutils, static: the kernel's objtool reads and writes object files with it. Nothing of it ships. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, exists, noBuildPaths } from "../src/recipe/proof.ts";
import { recipe, source, type Versions } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, tidyOutput } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";
import { zlib } from "./zlib.ts";

// What configure would find of musl. It cannot run: elfutils as a whole wants argp, fts and obstack, which musl does not
// have; libelf uses none of them.
const found = [
  "DECL_MEMPCPY",
  "DECL_MEMRCHR",
  "DECL_POWEROF2",
  "DECL_REALLOCARRAY",
  "ERR_H",
  "FALLTHROUGH",
  "GCC_STRUCT",
  "MREMAP",
  "VISIBILITY",
];

// libelf_a_SOURCES of upstream is the whole folder; the one file more is for its cache of raw chunks
const sources = (versions: Versions): string[] => [
  "libelf/*.c",
  ...(versions.atLeast("elfutils", "0.192") ? ["lib/eu-search.c"] : []),
];

export const libelf = recipe({
  name: "libelf",
  licence: "LGPL-3.0-or-later OR GPL-2.0-or-later",
  source: source("elfutils"),
  seed: seedBase,
  tools: [anvilCc],
  link: [zlib],
  script: (versions) =>
    [
      anvilCcEnvironment(versions, {
        cppflags: ["-D_GNU_SOURCE", "-DHAVE_CONFIG_H", "-I.", "-Ilib", "-Ilibelf"],
        cflags: ["-std=gnu11"],
      }),
      "cd /build/elfutils\n",
      `{ printf '#define HAVE_%s 1\\n' ${found.join(" ")}; echo '#include <eu-config.h>'; } > config.h\n`,
      `objects=$(ls ${sources(versions).join(" ")} | sed 's/c$/o/')\n`,
      "make -f /dev/null $objects\n",
      "$AR rcs libelf.a $objects\n",
      "install -D -m 644 -t /out/usr/lib libelf.a\n",
      "install -D -m 644 -t /out/usr/include libelf/libelf.h libelf/gelf.h libelf/nlist.h\n",
      tidyOutput(),
    ].join(""),
  assumes: (versions) => [
    assume("elfutils").paths(
      ...sources(versions),
      "libelf/libelf.h",
      "libelf/gelf.h",
      "libelf/nlist.h",
      "lib/eu-config.h",
    ),
  ],
  proves: [exists("usr/lib/libelf.a", "usr/include/libelf.h", "usr/include/gelf.h"), builtByAnvilCc(), noBuildPaths()],
});
