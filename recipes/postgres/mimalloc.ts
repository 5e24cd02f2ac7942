/** An allocator for the server: musl's gives memory back to the kernel with every query, and takes it again. */
import { assume } from "../../src/recipe/assumption.ts";
import { builtByAnvilCc, noBuildPaths } from "../../src/recipe/proof.ts";
import { recipe, source } from "../../src/recipe/recipe.ts";
import { anvilCcEnvironment } from "../../src/recipe/style.ts";
import { olderThanC23 } from "../compiler.ts";
import { seedBase } from "../seed.ts";
import { anvilCc } from "../toolchain.ts";

export const mimalloc = recipe({
  name: "mimalloc",
  licence: "MIT",
  source: source("mimalloc"),
  seed: seedBase,
  tools: [anvilCc],
  // one object that has all of malloc's family, so that a program takes all of it or nothing
  script: (versions) => `\
${anvilCcEnvironment(versions, { cflags: olderThanC23(versions) })}
cd mimalloc
mkdir /out/objects
$CC $CFLAGS -DNDEBUG -DMI_MALLOC_OVERRIDE -DMI_LIBC_MUSL=1 -DMI_STATIC_LIB -fvisibility=hidden -ftls-model=initial-exec \\
  -fno-builtin-malloc -Iinclude -c -o /out/objects/mimalloc.o src/static.c
`,
  assumes: [assume("mimalloc").paths("src/static.c", "include/mimalloc.h")],
  proves: [builtByAnvilCc("objects/mimalloc.o"), noBuildPaths()],
});
