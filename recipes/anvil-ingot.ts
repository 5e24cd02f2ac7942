/** anvil-ingot: the agent that adds signed payloads to the running system, and the tests of its parts. */
import { builtByAnvilCc, contains, exists, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, tidyOutput } from "../src/recipe/style.ts";
import { libsodium } from "./libsodium.ts";
import { libzstd } from "./libzstd.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

const licence = "Apache-2.0 AND ISC AND BSD-3-Clause";

const compile = (program: string, sources: string, flags = ""): string => `\
cd /files/native/ingot
mkdir -p "$(dirname ${program})"
$CC $CPPFLAGS -D_GNU_SOURCE -std=c11 -Wall -Wextra -Werror $CFLAGS ${flags} $LDFLAGS -o ${program} ${sources} -lsodium -lzstd
`;

export const anvilIngot = recipe({
  name: "anvil-ingot",
  licence,
  files: ["native/ingot"],
  seed: seedBase,
  tools: [anvilCc],
  link: [libsodium, libzstd],
  script: (versions) =>
    [anvilCcEnvironment(versions), compile("/out/usr/sbin/anvil-ingot", "*.c"), tidyOutput()].join(""),
  proves: [
    exists("usr/sbin/anvil-ingot"),
    isStaticPie("usr/sbin/anvil-ingot"),
    builtByAnvilCc(),
    noBuildPaths(),
    runs("usr/sbin/anvil-ingot", "--help", /^usage: anvil-ingot list/),
  ],
});

// Overflows, wild shifts and the like trap; what the tests hand over ends where a page ends that cannot be read.
const trapping = "-g0 -fsanitize=undefined -fsanitize-undefined-trap-on-error";

/** Ships nowhere. Its proof is that the tests hold. */
export const anvilIngotTest = recipe({
  name: "anvil-ingot-test",
  licence,
  files: ["native/ingot", "native/ingot-test", "native/test"],
  seed: seedBase,
  tools: [anvilCc],
  link: [libsodium, libzstd],
  script: (versions) =>
    [
      anvilCcEnvironment(versions),
      compile(
        "/build/ingot-test",
        "../test/check.c ../ingot-test/*.c fault.c manifest.c frames.c trust.c chunk.c tree.c",
        trapping,
      ),
      "cd /build\n",
      "./ingot-test | tee /build/said\n",
      "install -D -m 644 -t /out said\n",
    ].join(""),
  proves: [contains("said", /^all tests hold$/)],
});
