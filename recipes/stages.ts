/**
 * ANVIL-CC built by itself: stage 2 by the cross compiler of `toolchain.ts`, stage 3 by stage 2, both as native programs
 * (build = host = target) in a root without any program of a seed. Stage 3 must be stage 2, byte for byte.
 *
 * What a stage builds is mounted under the same names for both, so that no path tells them apart.
 */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, contains, exists, isStatic, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source, type Recipe, type Versions } from "../src/recipe/recipe.ts";
import { buildRoot } from "./build-root.ts";
import { binutilsOptions, gccIsThere, gccOptions, olderThanC23, prepareGcc, targetFlags } from "./compiler.ts";
import { anvilCxx, linuxHeaders } from "./toolchain.ts";

const native = "--build=$ANVIL_TARGET --host=$ANVIL_TARGET --target=$ANVIL_TARGET";
const names =
  'export CC="$ANVIL_TARGET-gcc" CXX="$ANVIL_TARGET-g++" AR="$ANVIL_TARGET-ar" RANLIB="$ANVIL_TARGET-ranlib"\n';
/** Of the compiler's own programs. They spend their time in small functions: the stack protector costs them percents. */
const host = "-O2 -g0 -pipe -fno-stack-protector";
const hostFlags = `CFLAGS="${host}" CXXFLAGS="${host}"`;

/** musl's malloc is made for small programs; a compiler that allocates millions of objects takes another one. */
const mimalloc = (stage: Stage): Recipe =>
  recipe({
    name: `mimalloc-${stage.name}`,
    folder: "mimalloc",
    licence: "MIT",
    source: source("mimalloc"),
    root: buildRoot,
    tools: [stage.compiler],
    // one object that has all of malloc's family, so that a program takes all of it or nothing
    script: (versions) => `
cd mimalloc
$ANVIL_TARGET-gcc ${[host, ...olderThanC23(versions)].join(" ")} -DNDEBUG -DMI_MALLOC_OVERRIDE -DMI_LIBC_MUSL=1 -DMI_STATIC_LIB -fvisibility=hidden \\
  -ftls-model=initial-exec -fno-builtin-malloc -ffile-prefix-map=/build=. -Iinclude -c -o mimalloc.o src/static.c
mkdir -p /out/usr/lib
$ANVIL_TARGET-ar rcsD /out/usr/lib/libmimalloc.a mimalloc.o
`,
    assumes: [assume("mimalloc").paths("src/static.c", "include/mimalloc.h")],
    proves: [builtByAnvilCc(), noBuildPaths()],
  });

const musl = (stage: Stage): Recipe =>
  recipe({
    name: `musl-${stage.name}`,
    folder: "musl",
    licence: "MIT",
    source: source("musl"),
    root: buildRoot,
    tools: [stage.compiler],
    script: `
cd musl
./configure --prefix= --target=$ANVIL_TARGET --disable-shared CROSS_COMPILE=$ANVIL_TARGET- \\
  CC="$ANVIL_TARGET-gcc" CFLAGS="${targetFlags}"
make
make DESTDIR=/out install-headers install-libs
`,
    proves: [exists("include/stdio.h", "lib/rcrt1.o"), builtByAnvilCc("lib/libc.a"), noBuildPaths()],
  });

const binutils = (stage: Stage): Recipe =>
  recipe({
    name: `binutils-${stage.name}`,
    folder: "binutils",
    licence: "GPL-3.0-or-later",
    source: source("binutils"),
    root: buildRoot,
    tools: [stage.compiler],
    link: [stage.mimalloc],
    script: `
${names}mkdir objects
cd objects
# the flags are all that reaches each program; they stand before its objects, so malloc is asked for beforehand
../binutils/configure --prefix=/usr ${native} --with-sysroot=/usr/$ANVIL_TARGET \\
  ${binutilsOptions} \\
  ${hostFlags} LDFLAGS="-L/deps/mimalloc/usr/lib -Wl,-u,malloc -lmimalloc" MAKEINFO=true
make MAKEINFO=true
make MAKEINFO=true DESTDIR=/out install-strip
rm -rf /out/usr/share /out/usr/include /out/usr/lib
`,
    proves: [
      isStaticPie("usr/bin/as", "usr/bin/ld", "usr/bin/ar", "usr/bin/objcopy"),
      builtByAnvilCc("usr/bin/*"),
      contains("usr/bin/as", /mimalloc: /),
      contains("usr/bin/ld", /mimalloc: /),
      runs("usr/bin/ld", "--version", /GNU ld/),
      noBuildPaths(),
    ],
  });

/** C's front end calls the analyzer since GCC 13. */
const calledOfAnalyzer = (versions: Versions): string[] => [
  ...(versions.atLeast("gcc", "13") ? ["analyzer/analyzer-language"] : []),
  "analyzer/analyzer-pass",
];

const objects = (names: readonly string[]): string => names.map((name) => `${name}.o`).join(" ");

const gcc = (stage: Stage): Recipe =>
  recipe({
    name: `gcc-${stage.name}`,
    folder: "gcc",
    licence: "GPL-3.0-or-later WITH GCC-exception-3.1 AND MIT",
    source: [source("gcc"), source("gmp"), source("mpfr"), source("mpc")],
    files: ["system/toolchain/specs"],
    root: buildRoot,
    tools: [stage.compiler],
    link: [stage.mimalloc],
    inputs: [linuxHeaders, stage.musl],
    script: (versions) => `
${names}sysroot=/out/usr/$ANVIL_TARGET

${prepareGcc(versions)}
mkdir -p $sysroot
# busybox' cp always takes over who may write
for tree in /in/musl /in/linux-headers/usr; do
  cp -r $tree/. $sysroot
  chmod -R u+w $sysroot
done
# for a linker that looks below usr/
ln -s . $sysroot/usr

mkdir objects
cd objects
# whoever names libraries here has to name all of them
../gcc/configure --prefix=/usr ${native} \\
  ${gccOptions} \\
  --with-stage1-libs="-L/deps/mimalloc/usr/lib -lmimalloc -lstdc++" \\
  ${hostFlags} MAKEINFO=true CFLAGS_FOR_TARGET="${targetFlags}" CXXFLAGS_FOR_TARGET="${targetFlags}"
# of the disabled analyzer only what the rest calls: its other objects would be compiled and never do anything
compiler() { make MAKEINFO=true ANALYZER_OBJS="${objects(calledOfAnalyzer(versions))}" "$@"; }
compiler all-gcc
# the programs with which the libraries are configured are run: there is no dynamic linker for them
cp /files/system/toolchain/specs gcc/specs
compiler all-target-libgcc all-target-libstdc++-v3
compiler DESTDIR=/out install-strip-gcc install-target-libgcc install-target-libstdc++-v3
cp /files/system/toolchain/specs /out/usr/lib/gcc/$ANVIL_TARGET/[0-9]*/
# one folder for all libraries: lib64 is where x86 systems of two word sizes keep one of them
mv /out/usr/lib64/*.a $sysroot/lib
rm -r /out/usr/lib64
`,
    assumes: (versions) => [
      gccIsThere,
      assume("gcc").mention(["gcc/Makefile.in"], "ANALYZER_OBJS"),
      assume("gcc").targets("Makefile.in", "all-target-libstdc++-v3", "install-target-libstdc++-v3"),
      assume("gcc").paths(...calledOfAnalyzer(versions).map((name) => `gcc/${name}.cc`)),
    ],
    proves: [
      isStatic("usr/bin/gcc", "usr/bin/g++", "usr/libexec/gcc/*/*/cc1", "usr/libexec/gcc/*/*/cc1plus"),
      contains("usr/libexec/gcc/*/*/cc1", /mimalloc: /),
      contains("usr/libexec/gcc/*/*/cc1plus", /mimalloc: /),
      exists("usr/x86_64-anvil-linux-musl/lib/libc.a", "usr/x86_64-anvil-linux-musl/lib/libstdc++.a"),
      builtByAnvilCc("usr/bin/*", "usr/libexec/gcc/*/*/cc1*"),
    ],
  });

// Assembler and linker under the names by which GCC looks for them; every program once, under its own name and, as a
// link, under that of a cross compiler, which is what recipes call.
const gather = `
cp -a /in/gcc/. /out
chmod -R u+w /out
cp -a /in/binutils/usr/bin/. /out/usr/bin
cp -a /in/binutils/usr/$ANVIL_TARGET/. /out/usr/$ANVIL_TARGET
chmod -R u+w /out
cd /out/usr/bin
rm $ANVIL_TARGET-*
ln -sf g++ c++
ln -sf ld ld.bfd
ln -s gcc cc
for program in *; do ln -s $program $ANVIL_TARGET-$program; done
for program in "../$ANVIL_TARGET"/bin/*; do ln -sf "../../bin/\${program##*/}" "$program"; done
export PATH=/out/usr/bin:/usr/bin
`;

const tidy = `
cd /out/usr
find . -name '*.la' -delete
find . -name '*-gdb.py' -delete
rm -rf share lib/bfd-plugins lib/gcc/$ANVIL_TARGET/*/install-tools libexec/gcc/$ANVIL_TARGET/*/install-tools
# libgcc is always compiled with -g: what it says about itself would be in every program
find lib/gcc $ANVIL_TARGET/lib -name '*.[ao]' -size +8c -exec strip --strip-debug {} +
`;

/** A program in each language, as static-PIE and from another place than where it was installed. */
const tryOut = `
cp -a /out /build/moved
PATH=/build/moved/usr/bin:/usr/bin
cd /build
cat > hello.cc <<'END'
#include <iostream>
#include <stdexcept>
int main() { try { throw std::runtime_error("thrown"); } catch (const std::exception &e) { std::cout << e.what() << std::endl; } }
END
g++ -O2 -o hello hello.cc
./hello | grep -qx thrown
echo 'int main(void) { return 0; }' > hello.c
cc -O2 -o empty hello.c
./empty
install -D hello /out/usr/share/anvil-cc/hello
`;

interface Stage {
  readonly name: string;
  readonly compiler: Recipe;
  readonly mimalloc: Recipe;
  readonly musl: Recipe;
}

function stageBy(name: string, compiler: Recipe): Recipe {
  const first = { name, compiler } as Stage;
  const stage = { ...first, mimalloc: mimalloc(first), musl: musl(first) };
  return recipe({
    name,
    folder: anvilCxx.folder,
    licence: anvilCxx.licence,
    root: buildRoot,
    inputs: [binutils(stage), gcc(stage)],
    script: `${gather}${tidy}${tryOut}`,
    proves: [
      isStatic("usr/bin/gcc", "usr/bin/g++", "usr/bin/as", "usr/bin/ld", "usr/libexec/gcc/*/*/cc1*"),
      isStaticPie("usr/share/anvil-cc/hello"),
      builtByAnvilCc(),
      runs("usr/bin/gcc", "--version", /ANVIL-CC/),
      noBuildPaths("usr/bin/**", "usr/libexec/**"),
    ],
  });
}

export const stage2 = stageBy("stage2", anvilCxx);
export const stage3 = stageBy("stage3", stage2);
