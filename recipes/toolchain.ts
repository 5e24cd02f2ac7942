/**
 * ANVIL-CC, stage 1: binutils, GCC for C and C++, musl and the kernel's headers, as one relocatable cross compiler that
 * is itself static. Built by the seed's compiler; everything else is built by it.
 *
 * The prefix is /usr and the sysroot /usr/<target>; wherever the tree is moved, the driver finds both from its own
 * place. Its `specs` make static-PIE the default form of a program: there is no dynamic linker in AnvilOS.
 */
import { builtByAnvilCc, contains, exists, isStatic, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { seedCc } from "./seed.ts";

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
  --disable-nls --disable-multilib --disable-werror --disable-shared --disable-plugins \\
  --disable-gdb --disable-gdbserver --disable-gprof --disable-gprofng --disable-sim --disable-libctf \\
  --enable-deterministic-archives --enable-relro --enable-separate-code --without-zstd \\
  ${hostFlags} MAKEINFO=true
make MAKEINFO=true configure-host
# libtool's own flag: plain -static still lets it link a shared libc
make MAKEINFO=true LDFLAGS=-all-static
make MAKEINFO=true DESTDIR=/out install-strip
rm -rf /out/usr/share /out/usr/lib/bfd-plugins
`,
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
  script: `
sysroot=/out/usr/$ANVIL_TARGET

# Debian's archive wraps the release tarball in another one; three quarters of its files are tests of the compiler
if [ ! -f gcc/configure ]; then
  mkdir inner
  tar -xf gcc/gcc-[0-9]*.tar.xz -C inner --strip-components=1 --no-same-owner --exclude='gcc-*/gcc/testsuite/g*'
  rm -rf gcc
  mv inner gcc
fi
mv gmp mpfr mpc gcc/
# both lack their documentation there: gmp's folder for it, and what GCC checks its table of target hooks against
if [ ! -f gcc/gmp/doc/Makefile.in ]; then
  mkdir -p gcc/gmp/doc
  printf 'all install install-strip check clean:\\n' > gcc/gmp/doc/Makefile.in
fi
if ! grep -q '@hook' gcc/gcc/doc/tm.texi.in; then
  sed -i 's|^s-tm-texi: build/genhooks.*|undocumented: build/genhooks$(build_exeext)|' gcc/gcc/Makefile.in
fi

# assembler, linker and headers first: GCC is configured by what they can do
cp -a /tools/binutils/. /out
chmod -R u+w /out
mkdir -p $sysroot/include
cp -r --no-preserve=mode /in/linux-headers/usr/include/. $sysroot/include
export PATH=/out/usr/bin:$PATH

mkdir objects
cd objects
../gcc/configure --prefix=/usr --target=$ANVIL_TARGET \\
  --with-sysroot=/usr/$ANVIL_TARGET --with-build-sysroot=$sysroot --with-native-system-header-dir=/include \\
  --with-pkgversion=ANVIL-CC --enable-languages=c,c++ --enable-default-pie --enable-default-ssp \\
  --enable-initfini-array --enable-checking=release --with-stage1-ldflags=-static \\
  --disable-bootstrap --disable-shared --disable-multilib --disable-nls --disable-werror --disable-lto --disable-plugin \\
  --disable-libsanitizer --disable-libgomp --disable-libitm --disable-libvtv --disable-libssp --disable-libquadmath \\
  --disable-libatomic --disable-gcov --disable-analyzer --disable-fixincludes --disable-libstdcxx-pch --without-zstd --without-isl \\
  ${hostFlags} MAKEINFO=true CFLAGS_FOR_TARGET="-O2 -g0 -ffile-prefix-map=/build=." \\
  CXXFLAGS_FOR_TARGET="-O2 -g0 -ffile-prefix-map=/build=."
make MAKEINFO=true all-gcc
make MAKEINFO=true DESTDIR=/out install-strip-gcc

# musl's headers, then libgcc, then musl itself, which needs libgcc
cd ../musl
./configure --prefix= --target=$ANVIL_TARGET --disable-shared CROSS_COMPILE=$ANVIL_TARGET- \\
  CC="$ANVIL_TARGET-gcc" CFLAGS="-O2 -g0 -ffile-prefix-map=/build=."
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
cd ../objects
make MAKEINFO=true all-target-libstdc++-v3
make MAKEINFO=true DESTDIR=/out install-target-libstdc++-v3
# one folder for all libraries: lib64 is where x86 systems of two word sizes keep one of them
mv $sysroot/lib64/*.a $sysroot/lib
rm -r $sysroot/lib64

# libgcc is always compiled with -g: what it says about itself would be in every program
find /out/usr/lib/gcc $sysroot/lib -name '*.[ao]' -size +8c -exec $ANVIL_TARGET-strip --strip-debug {} +
rm -rf /out/usr/share /out/usr/lib/bfd-plugins /out/usr/lib/gcc/$ANVIL_TARGET/*/install-tools /out/usr/libexec/gcc/$ANVIL_TARGET/*/install-tools
find /out -name '*.la' -delete
find /out -name '*-gdb.py' -delete

# a program in each language, as static-PIE and from another place than where it was installed
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
  proves: [
    isStatic("usr/bin/*-gcc", "usr/bin/*-g++", "usr/libexec/gcc/*/*/cc1", "usr/libexec/gcc/*/*/cc1plus"),
    exists(
      "usr/x86_64-anvil-linux-musl/include/asm/types.h",
      "usr/x86_64-anvil-linux-musl/lib/libc.a",
      "usr/x86_64-anvil-linux-musl/lib/rcrt1.o",
      "usr/x86_64-anvil-linux-musl/lib/libstdc++.a",
    ),
    builtByAnvilCc("usr/x86_64-anvil-linux-musl/lib/*.a", "usr/lib/gcc/*/*/libgcc.a", "usr/share/anvil-cc/hello"),
    { check: "static-pie", paths: ["usr/share/anvil-cc/hello"] },
    runs("usr/bin/x86_64-anvil-linux-musl-gcc", "--version", /ANVIL-CC/),
    // the driver and the compilers name their configuration, and with it this sandbox, when asked with -v
    noBuildPaths("usr/bin/**", "usr/libexec/**"),
  ],
});
