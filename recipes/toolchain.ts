/**
 * ANVIL-CC, stage 1: binutils, GCC for C and C++, musl and the kernel's headers, as one relocatable cross compiler that
 * is itself static. Built by the seed's compiler; everything else is built by it.
 *
 * The prefix is /usr and the sysroot /usr/<target>; wherever the tree is moved, the driver finds both from its own
 * place. Its `specs` make static-PIE the default form of a program: there is no dynamic linker in AnvilOS.
 */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, contains, exists, isStatic, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { binutilsOptions, gccFits, gccIsThere, gccOptions, prepareGcc, targetFlags, unpackGcc } from "./compiler.ts";
import { seedBase, seedCc } from "./seed.ts";

/** -O1 and no debug information: the compiler of stage 1 compiles for minutes, its own build takes longer. */
const hostFlags = `CFLAGS="-O1 -g0 -pipe" CXXFLAGS="-O1 -g0 -pipe" LDFLAGS=-static`;

export const binutils = recipe({
  name: "binutils",
  licence: "GPL-3.0-or-later",
  source: source("binutils"),
  seed: seedCc,
  script: `
mkdir objects
cd objects
../binutils/configure --prefix=/usr --target=$ANVIL_TARGET --with-sysroot=/usr/$ANVIL_TARGET \\
  ${binutilsOptions} \\
  ${hostFlags} MAKEINFO=true
make MAKEINFO=true configure-host
# libtool's own flag: plain -static still lets it link a shared libc
make MAKEINFO=true LDFLAGS=-all-static
make MAKEINFO=true DESTDIR=/out install-strip
rm -rf /out/usr/share /out/usr/lib/bfd-plugins
`,
  assumes: [
    assume("binutils").targets("Makefile.in", "configure-host", "install-strip"),
    assume("binutils").paths("ld/configure", "gas/configure"),
  ],
  proves: [
    isStatic("usr/bin/*-as", "usr/bin/*-ld", "usr/bin/*-ar", "usr/bin/*-objcopy"),
    runs("usr/bin/x86_64-anvil-linux-musl-ld", "--version", /GNU ld/),
    noBuildPaths(),
  ],
});

/** User-space API headers of the kernel. */
export const linuxHeaders = recipe({
  name: "linux-headers",
  licence: "GPL-2.0-only WITH Linux-syscall-note",
  source: source("linux"),
  seed: seedCc,
  script: `
cd linux
make ARCH=x86 headers
mkdir -p /out/usr/include
cd usr/include
find . -name '*.h' -exec cp --parents -t /out/usr/include {} +
`,
  assumes: [assume("linux").targets("Makefile", "headers")],
  proves: [
    exists("usr/include/linux/fs.h", "usr/include/asm/unistd_64.h"),
    contains("usr/include/linux/version.h", /LINUX_VERSION_CODE/),
  ],
});

export const anvilCc = recipe({
  name: "anvil-cc",
  licence: "GPL-3.0-or-later WITH GCC-exception-3.1 AND MIT",
  source: [source("gcc"), source("gmp"), source("mpfr"), source("mpc"), source("musl")],
  files: ["system/toolchain/specs"],
  seed: seedCc,
  tools: [binutils],
  inputs: [linuxHeaders],
  script: (versions) => `
sysroot=/out/usr/$ANVIL_TARGET

${prepareGcc(versions)}
# assembler, linker and headers first: GCC is configured by what they can do
cp -a /tools/binutils/. /out
chmod -R u+w /out
mkdir -p $sysroot/include
cp -r --no-preserve=mode /in/linux-headers/usr/include/. $sysroot/include
export PATH=/out/usr/bin:$PATH

mkdir objects
cd objects
../gcc/configure --prefix=/usr --target=$ANVIL_TARGET \\
  ${gccOptions} \\
  ${hostFlags} MAKEINFO=true CFLAGS_FOR_TARGET="${targetFlags}" \\
  CXXFLAGS_FOR_TARGET="${targetFlags}"
make MAKEINFO=true all-gcc
make MAKEINFO=true DESTDIR=/out install-strip-gcc

# musl's headers, then libgcc, then musl itself, which needs libgcc
cd ../musl
./configure --prefix= --target=$ANVIL_TARGET --disable-shared CROSS_COMPILE=$ANVIL_TARGET- \\
  CC="$ANVIL_TARGET-gcc" CFLAGS="${targetFlags}"
make DESTDIR=$sysroot install-headers
cd ../objects
make MAKEINFO=true all-target-libgcc
make MAKEINFO=true DESTDIR=/out install-target-libgcc
cd ../musl
make
make DESTDIR=$sysroot install-libs
# what upstream installs for a linker that looks below usr/
ln -s . $sysroot/usr

cp /files/system/toolchain/specs "$($ANVIL_TARGET-gcc -print-file-name=)specs"
# libgcc is always compiled with -g: what it says about itself would be in every program
find /out/usr/lib/gcc $sysroot/lib -name '*.[ao]' -size +8c -exec $ANVIL_TARGET-strip --strip-debug {} +
rm -rf /out/usr/share /out/usr/lib/bfd-plugins /out/usr/lib/gcc/$ANVIL_TARGET/*/install-tools /out/usr/libexec/gcc/$ANVIL_TARGET/*/install-tools
find /out -name '*.la' -delete
find /out -name '*-gdb.py' -delete

# a program, as static-PIE and from another place than where it was installed
cp -a /out /build/moved
echo 'int main(void) { return 0; }' > empty.c
/build/moved/usr/bin/$ANVIL_TARGET-gcc -O2 -o empty empty.c
./empty
install -D -t /out/usr/share/anvil-cc empty
`,
  assumes: (versions) => [
    gccIsThere,
    assume("gcc").targets("Makefile.in", "all-gcc", "all-target-libgcc", "install-strip-gcc", "install-target-libgcc"),
    ...gccFits(versions),
    assume("gmp").paths("configure", "mpn/x86_64"),
    assume("mpfr").paths("configure", "src/mpfr.h"),
    assume("mpc").paths("configure", "src/mpc.h"),
    assume("musl").targets("Makefile", "install-headers", "install-libs"),
    assume("musl").paths("crt/rcrt1.c", "arch/x86_64"),
  ],
  proves: [
    isStatic("usr/bin/*-gcc", "usr/bin/*-g++", "usr/libexec/gcc/*/*/cc1", "usr/libexec/gcc/*/*/cc1plus"),
    exists(
      "usr/x86_64-anvil-linux-musl/include/asm/types.h",
      "usr/x86_64-anvil-linux-musl/lib/libc.a",
      "usr/x86_64-anvil-linux-musl/lib/rcrt1.o",
    ),
    builtByAnvilCc("usr/x86_64-anvil-linux-musl/lib/*.a", "usr/lib/gcc/*/*/libgcc.a", "usr/share/anvil-cc/empty"),
    { check: "static-pie", paths: ["usr/share/anvil-cc/empty"] },
    runs("usr/bin/x86_64-anvil-linux-musl-gcc", "--version", /ANVIL-CC/),
    // the driver and the compilers name their configuration, and with it this sandbox, when asked with -v
    noBuildPaths("usr/bin/**", "usr/libexec/**"),
  ],
});

/**
 * ANVIL-CC with the C++ library. The system has no program in C++: only what is compiled by this one waits for it. The
 * library is configured by itself, as the sources of GCC allow, with the compiler that is there.
 */
export const anvilCxx = recipe({
  name: "anvil-cxx",
  folder: anvilCc.name,
  licence: anvilCc.licence,
  source: source("gcc"),
  seed: seedBase,
  tools: [anvilCc],
  script: `
${unpackGcc}
cp -a /tools/anvil-cc/. /out
chmod -R u+w /out
sysroot=/out/usr/$ANVIL_TARGET

# what GCC's own build makes beside libgcc for the thread model of the target
ln -s gthr-posix.h gcc/libgcc/gthr-default.h
# as deep as it is in GCC's own build: messages of assertions name the source as it was found
mkdir -p objects/$ANVIL_TARGET/libstdc++-v3
cd objects/$ANVIL_TARGET/libstdc++-v3
# a builder that is the host makes it try what it finds: else it guesses, and is not what stages 2 and 3 make. Tries are
# linked by the driver for C, which does not want the library that is to be built
../../../gcc/libstdc++-v3/configure --prefix=/usr --build=$ANVIL_TARGET --host=$ANVIL_TARGET \\
  --with-gxx-include-dir=/usr/$ANVIL_TARGET/include/c++/$VERSION --disable-shared --disable-multilib --disable-nls \\
  --disable-libstdcxx-pch CC="$ANVIL_TARGET-gcc" CXX="$ANVIL_TARGET-gcc -nostdinc++" AR="$ANVIL_TARGET-ar" \\
  RANLIB="$ANVIL_TARGET-ranlib" CFLAGS="${targetFlags}" CXXFLAGS="${targetFlags}"
make
make DESTDIR=/out install
# one folder for all libraries: lib64 is where x86 systems of two word sizes keep one of them
mv /out/usr/lib64/*.a $sysroot/lib
rm -r /out/usr/lib64
find /out -name '*.la' -delete
find /out -name '*-gdb.py' -delete
rm -rf /out/usr/share
find $sysroot/lib -name 'lib*++*.a' -exec $ANVIL_TARGET-strip --strip-debug {} +

# a program with exceptions, as static-PIE and from another place than where it was installed
cp -a /out /build/moved
cat > hello.cc <<'END'
#include <iostream>
#include <stdexcept>
int main() { try { throw std::runtime_error("thrown"); } catch (const std::exception &e) { std::cout << e.what() << std::endl; } }
END
/build/moved/usr/bin/$ANVIL_TARGET-g++ -O2 -o hello hello.cc
./hello | grep -qx thrown
install -D -t /out/usr/share/anvil-cc hello
`,
  assumes: [gccIsThere, assume("gcc").paths("libgcc/gthr-posix.h", "libstdc++-v3/configure")],
  proves: [
    exists("usr/x86_64-anvil-linux-musl/lib/libstdc++.a", "usr/x86_64-anvil-linux-musl/lib/libsupc++.a"),
    builtByAnvilCc("usr/x86_64-anvil-linux-musl/lib/*.a", "usr/share/anvil-cc/hello"),
    { check: "static-pie", paths: ["usr/share/anvil-cc/hello"] },
    noBuildPaths("usr/bin/**", "usr/libexec/**"),
  ],
});
