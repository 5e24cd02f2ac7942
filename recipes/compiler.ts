/** What the compiler's recipes of all stages share: they differ in who compiles, where and for which host. */
import { assume } from "../src/recipe/assumption.ts";
import type { Versions } from "../src/recipe/recipe.ts";

/**
 * Flags for a source that is older than C23, which is GCC's default from 15 on: there `()` says that a function takes no
 * arguments, `bool` is a word of the language, and ATOMIC_VAR_INIT is gone.
 */
export const olderThanC23 = (versions: Versions): readonly string[] =>
  versions.atLeast("gcc", "15") ? ["-std=gnu17"] : [];

/** For what becomes part of other programs: musl, libgcc and libstdc++. */
export const targetFlags = "-O2 -g0 -ffile-prefix-map=/build=.";

export const binutilsOptions = `--disable-nls --disable-multilib --disable-werror --disable-shared --disable-plugins \\
  --disable-gdb --disable-gdbserver --disable-gprof --disable-gprofng --disable-sim --disable-libctf \\
  --enable-deterministic-archives --enable-relro --enable-separate-code --without-zstd`;

/** The static analyzer is a twelfth of the compiler's source and decides no byte of a program. Needs `$sysroot`. */
export const gccOptions = `--with-sysroot=/usr/$ANVIL_TARGET --with-build-sysroot=$sysroot --with-native-system-header-dir=/include \\
  --with-pkgversion=ANVIL-CC --enable-languages=c,c++ --enable-default-pie --enable-default-ssp \\
  --enable-initfini-array --enable-checking=release --with-stage1-ldflags=-static \\
  --disable-bootstrap --disable-shared --disable-multilib --disable-nls --disable-werror --disable-lto --disable-plugin \\
  --disable-libsanitizer --disable-libgomp --disable-libitm --disable-libvtv --disable-libssp --disable-libquadmath \\
  --disable-libatomic --disable-gcov --disable-analyzer --disable-fixincludes --disable-libstdcxx-pch --without-zstd --without-isl`;

/** In /build: the source of GCC. */
export const unpackGcc = `\
# Debian's archive wraps the release tarball in another one; three quarters of its files are tests of the compiler
if [ ! -f gcc/configure ]; then
  mkdir inner
  tar -xf gcc/gcc-[0-9]*.tar.xz -C inner --strip-components=1 --no-same-owner --exclude='gcc-*/gcc/testsuite/g*'
  rm -rf gcc
  mv inner gcc
fi
`;

/** What every look at GCC's source needs first. Whoever names an assumption about it names this one, too. */
export const gccIsThere = assume("gcc").prepared("its release is there, wrapped or not", `cd /build\n${unpackGcc}`);

// in the source of GCC: what is changed when its documentation is not there can be changed
const hooksFit = `\
grep -q '@hook' gcc/doc/tm.texi.in || grep -q '^s-tm-texi: build/genhooks' gcc/Makefile.in
`;

const callOfFixincludes = "STMP_FIXINC = @STMP_FIXINC@";
/** Before GCC 13 --disable-fixincludes leaves out the program and goes on to call it. */
const callsFixincludes = (versions: Versions): boolean => !versions.atLeast("gcc", "13");

/** What `prepareGcc` changes for this version is there. */
export const gccFits = (versions: Versions) => [
  assume("gcc").success("its table of target hooks can be made", hooksFit),
  ...(callsFixincludes(versions) ? [assume("gcc").once("gcc/Makefile.in", callOfFixincludes)] : []),
];

/** In /build: gcc with its libraries inside, ready to be configured. */
export const prepareGcc = (versions: Versions): string =>
  callsFixincludes(versions)
    ? `${prepare}sed -i 's/${callOfFixincludes}/STMP_FIXINC =/' gcc/gcc/Makefile.in\n`
    : prepare;

const prepare = `\
${unpackGcc}mv gmp mpfr mpc gcc/
# both lack their documentation there: gmp's folder for it, and what GCC checks its table of target hooks against
if [ ! -f gcc/gmp/doc/Makefile.in ]; then
  mkdir -p gcc/gmp/doc
  printf 'all install install-strip check clean:\\n' > gcc/gmp/doc/Makefile.in
fi
if ! grep -q '@hook' gcc/gcc/doc/tm.texi.in; then
  sed -i 's|^s-tm-texi: build/genhooks.*|undocumented: build/genhooks$(build_exeext)|' gcc/gcc/Makefile.in
fi
`;
