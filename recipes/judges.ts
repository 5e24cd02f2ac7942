/**
 * Tests that others wrote, compiled by ANVIL-CC to be run in the Monolith: GCC's own for the compiler; the POSIX Test
 * Suite and the libc-testsuite of musl's author for the C library. An output is `tests.tar` with the programs, the
 * `list` of them and the program `judge` that runs it; beside it that list and the tests that were `refused` because
 * they could not be compiled. docs/judges.md has the numbers.
 */
import { assume, type Assumption } from "../src/recipe/assumption.ts";
import { contains, exists } from "../src/recipe/proof.ts";
import { recipe, source, type Recipe, type SourceRef } from "../src/recipe/recipe.ts";
import { seedBase } from "./seed.ts";
import { stage3 } from "./stages.ts";
import { anvilCc } from "./toolchain.ts";

interface Suite {
  readonly licence: string;
  readonly source: SourceRef;
  /** Shell text that writes the names of all tests, which may hold a `/`, to /build/all. */
  readonly names: string;
  /** Shell text that compiles the test `$1` to `$2`. */
  readonly compile: string;
  /** The name of a test that is always there. */
  readonly first: string;
  readonly assumes: readonly Assumption[];
}

/** @param every takes the first test and each that many further on */
function judge(suite: Suite, name: string, compiler: Recipe, every: number): Recipe {
  return recipe({
    name,
    licence: suite.licence,
    source: suite.source,
    files: ["native/judge"],
    seed: seedBase,
    tools: [compiler],
    script: `
${suite.names}
awk '(NR - 1) % ${every} == 0' /build/all > /build/wanted
cat > /build/compile <<'END'
set -- "$1" "/build/tests/$1"
mkdir -p "$(dirname "$2")"
${suite.compile}
END
# make, for the sake of the jobserver
cat > /build/compile.mk <<'END'
tests := $(shell cat /build/wanted)
all: $(tests)
.PHONY: all $(tests)
$(tests): ; @bash /build/compile $@ || echo $@ >> /build/refused
END
touch /build/refused
make -rs -f /build/compile.mk

cd /build/tests
find . -type f -exec $ANVIL_TARGET-strip {} +
find . -type f -printf '%P\\n' | sort > /out/list
sort /build/refused > /out/refused
cp /out/list .
$ANVIL_TARGET-gcc -O2 -Wall -Wextra -Werror -o judge /files/native/judge/judge.c
tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -cf /out/tests.tar .
`,
    assumes: suite.assumes,
    proves: [exists("tests.tar", "refused"), contains("list", new RegExp(`^${suite.first}$`))],
  });
}

/** gcc.c-torture/execute: each test is a program that aborts when it was compiled wrongly. */
const torture: Suite = {
  licence: "GPL-3.0-or-later",
  source: source("gcc"),
  names: `\
tests=gcc/testsuite
execute=$tests/gcc.c-torture/execute
# Debian's archive wraps the release tarball in another one; some of the tests include others
if [ ! -d gcc/gcc ]; then
  tar -xf gcc/gcc-[0-9]*.tar.xz -C gcc --strip-components=1 --no-same-owner --wildcards \
    "gcc-*/$execute/*" "gcc-*/$tests/gcc.dg/pr*.c" "gcc-*/$tests/gcc.dg/tree-ssa/pr*.c"
fi
cd gcc/$execute
for level in O0 O1 O2 O3 Os; do printf "$level/%s\\n" *.c; done | sed 's/\\.c$//' > /build/all
`,
  // the options of DejaGnu's directives, but for those that are only for some targets
  compile: `\
file=\${1#*/}.c
options=$(sed -n 's/.*dg-\\(additional-\\)*options "\\([^"]*\\)" *}.*/\\2/p' "$file")
$ANVIL_TARGET-gcc "-\${1%%/*}" -w $options -o "$2" "$file" -lm
`,
  first: "O0/20000112-1",
  assumes: [
    assume("gcc").success(
      "its tests are there",
      "tar -tf /src/gcc > /build/names/list\ngrep -qE '/gcc/testsuite/gcc[.]c-torture/execute/20000112-1[.]c$|/gcc-[0-9][^/]*[.]tar[.]xz$' /build/names/list",
    ),
  ],
};

/**
 * Left out are tests that hold time against the clock, or set it, or that a thousand processes or storms of signals slow
 * down: under emulation they judge the emulator. Those of AIO assume that a request can still be cancelled when they get
 * round to it.
 */
const timed =
  "aio_* clock_* lio_* nanosleep sched_* timer_* *timed* shm_open/23-1.c pthread_cancel/5-2.c pthread_cond_broadcast/1-2.c";

/** A test ends with 0 when it passes, 4 or 5 when it does not apply; some are only there to be compiled. */
const posix: Suite = {
  licence: "GPL-2.0-only",
  source: source("posixtestsuite"),
  names: `\
cd posixtestsuite/conformance/interfaces
rm -rf ${timed}
grep -lE '\\<main *\\(' */*.c | sed '/-buildonly\\|scenarii/d; s/\\.c$//' > /build/all
`,
  compile: `\
$ANVIL_TARGET-gcc -O2 -w -fpermissive -D_GNU_SOURCE -I/build/posixtestsuite/include -o "$2" "$1.c"
`,
  first: "asctime/1-1",
  assumes: [assume("posixtestsuite").paths("conformance/interfaces/asctime/1-1.c", "include/posixtest.h")],
};

/** By the author of musl; libc-test, which came of it, is in no archive that the channels know. */
const libc: Suite = {
  licence: "MIT",
  source: source("picolibc"),
  names: `\
cd picolibc/test/libc-testsuite
printf '%s\\n' *.c | sed 's/\\.c$//' > /build/all
`,
  compile: '$ANVIL_TARGET-gcc -O2 -w -D_GNU_SOURCE -o "$2" "$1.c"\n',
  first: "basename",
  assumes: [assume("picolibc").paths("test/libc-testsuite/basename.c")],
};

/** By the compiler that built itself. */
export const gccTorture = judge(torture, "gcc-torture", stage3, 1);
export const posixTests = judge(posix, "posix-tests", stage3, 1);
/** By the compiler that compiles what ships, a part of each. */
export const gccTortureSample = judge(torture, "gcc-torture-sample", anvilCc, 20);
export const posixTestsSample = judge(posix, "posix-tests-sample", anvilCc, 8);
export const libcTestsuite = judge(libc, "libc-testsuite", anvilCc, 1);

export const judges: readonly Recipe[] = [gccTorture, posixTests, gccTortureSample, posixTestsSample, libcTestsuite];
