/** anvilctl: boots micro virtual machines and tells their monitors what to do; its library, and the tests of its parts. */
import { atMost, builtByAnvilCc, contains, exists, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, tidyOutput } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

const flags = "-D_GNU_SOURCE -std=c11 -Wall -Wextra -Werror";

/** The files of the library; what else is there is the program's. */
const library = "client error http json";

export const anvilctl = recipe({
  name: "anvilctl",
  licence: "Apache-2.0",
  files: ["native/anvilctl"],
  seed: seedBase,
  tools: [anvilCc],
  script: (versions) =>
    [
      anvilCcEnvironment(versions),
      `\
cd /files/native/anvilctl
mkdir -p /out/usr/bin /out/usr/include /out/usr/lib
for part in ${library}; do $CC $CPPFLAGS ${flags} $CFLAGS -c -o /build/$part.o $part.c; done
(cd /build && $AR rcD /out/usr/lib/libanvil_vmm.a ${library.replaceAll(" ", ".o ")}.o)
cp anvil_vmm.h /out/usr/include
$CC $CPPFLAGS ${flags} $CFLAGS $LDFLAGS -o /out/usr/bin/anvilctl $(ls *.c | grep -vxE '(${library.replaceAll(" ", "|")})\\.c') \\
  /out/usr/lib/libanvil_vmm.a
# the header and the library are all that a program needs
printf '#include <anvil_vmm.h>\\nint main(void) { struct anvil_vmm_error e; return anvil_vmm_connect("", 1, &e) >= 0; }\\n' > /build/user.c
$CC -I/out/usr/include ${flags} -o /build/user /build/user.c /out/usr/lib/libanvil_vmm.a
/build/user
`,
      tidyOutput(),
    ].join(""),
  proves: [
    exists("usr/bin/anvilctl", "usr/include/anvil_vmm.h", "usr/lib/libanvil_vmm.a"),
    isStaticPie("usr/bin/anvilctl"),
    builtByAnvilCc(),
    noBuildPaths(),
    atMost("usr/bin/anvilctl", 192 * 1024),
    runs("usr/bin/anvilctl", "--help", /^usage: anvilctl boot/),
  ],
});

// As in anvil-ingot-test: what C leaves undefined traps.
const trapping = "-g0 -fsanitize=undefined -fsanitize-undefined-trap-on-error";

/** Ships nowhere. Its proof is that the tests hold. */
export const anvilctlTest = recipe({
  name: "anvilctl-test",
  licence: "Apache-2.0",
  files: ["native/anvilctl", "native/anvilctl-test", "native/test"],
  seed: seedBase,
  tools: [anvilCc],
  script: (versions) =>
    [
      anvilCcEnvironment(versions),
      `\
cd /files/native/anvilctl
$CC $CPPFLAGS ${flags} $CFLAGS ${trapping} $LDFLAGS -o /build/anvilctl-test ../test/check.c ../anvilctl-test/*.c $(ls *.c | grep -vx main.c)
cd /build
./anvilctl-test | tee /build/said
install -D -m 644 -t /out said
`,
    ].join(""),
  proves: [contains("said", /^all tests hold$/)],
});
