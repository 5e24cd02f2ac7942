/**
 * Build styles: functions that give the shell text of a recipe's script, so that a recipe holds only what deviates.
 * The text runs in the sandbox that `recipe.ts` describes. Sources stand in `/build/<component>`, the output in `/out`.
 *
 * Every program that ships is a static-PIE with RELRO and bound at start. `_FORTIFY_SOURCE` is not in the flags: musl
 * has no checked variants of the functions, the macro would do nothing.
 */

import type { Versions } from "./recipe.ts";

const compile = [
  "-O2",
  "-fstack-protector-strong",
  "-fstack-clash-protection",
  // one section per function and object, so that the linker can drop what a program does not use
  "-ffunction-sections",
  "-fdata-sections",
  // nothing unwinds C code here; the tables would be a tenth of each program
  "-fno-unwind-tables",
  "-fno-asynchronous-unwind-tables",
  // __FILE__ and debug information must not tell where it was built
  "-ffile-prefix-map=/build=.",
  "-ffile-prefix-map=/deps=.",
  "-ffile-prefix-map=/tools=.",
];

// DT_RELR, which musl applies since 1.2.4: a static-PIE holds thousands of relative relocations of 24 bytes each
const link = (versions: Versions): string[] => [
  "-Wl,--gc-sections",
  "-Wl,-z,relro,-z,now,-z,noexecstack",
  ...(versions.atLeast("musl", "1.2.4") ? ["-Wl,-z,pack-relative-relocs"] : []),
];

export interface Flags {
  /** In addition to those of every package. */
  readonly cppflags?: readonly string[];
  readonly cflags?: readonly string[];
  readonly ldflags?: readonly string[];
}

/**
 * Exports the tools and flags of ANVIL-CC under the names that make, autoconf and libtool know, and makes what stands
 * in `/deps` visible to the compiler, the linker and pkg-config. Programs that a build runs itself are compiled by the
 * same compiler (`CC_FOR_BUILD`, `HOSTCC`): there is no other, and what it makes runs on the machine that builds.
 */
export function anvilCcEnvironment(versions: Versions, flags: Flags = {}): string {
  return `\
for tool in ar as ld nm objcopy objdump ranlib readelf strip; do
  export "$(echo $tool | tr a-z A-Z)=$ANVIL_TARGET-$tool"
done
export CC="$ANVIL_TARGET-gcc" CXX="$ANVIL_TARGET-g++"
export CC_FOR_BUILD="$CC" HOSTCC="$CC"
export CPPFLAGS=${quote(flags.cppflags ?? [])}
export CFLAGS=${quote([...compile, ...(flags.cflags ?? [])])}
export CXXFLAGS=${quote(compile.filter((flag) => !flag.includes("unwind")))}
export LDFLAGS=${quote([...link(versions), ...(flags.ldflags ?? [])])}
# the .pc files say prefix=/usr: with this option pkgconf takes the prefix from where the file stands
export PKG_CONFIG="pkgconf --static --define-prefix" PKG_CONFIG_LIBDIR=
for dep in /deps/*/usr; do
  if [ -d "$dep/include" ]; then CPPFLAGS="$CPPFLAGS -I$dep/include"; fi
  if [ -d "$dep/lib" ]; then
    LDFLAGS="$LDFLAGS -L$dep/lib"
    PKG_CONFIG_LIBDIR="$PKG_CONFIG_LIBDIR:$dep/lib/pkgconfig"
  fi
done
`;
}

/** Strips the programs of the output and removes what nothing in the system reads. */
export function tidyOutput(): string {
  return `\
find /out -name '*.la' -delete
rm -rf /out/usr/share/man /out/usr/share/info /out/usr/share/doc /out/usr/share/locale
find /out -type f -perm /111 | while read -r file; do
  if [ "$(head -c 4 "$file" | tail -c 3)" = ELF ]; then "$STRIP" --strip-all "$file"; fi
done
find /out -depth -type d -empty -delete
`;
}

export interface ConfigureMake {
  /** The source's folder below /build. */
  readonly component: string;
  readonly flags?: Flags;
  /** Arguments of configure in addition to those of every package. */
  readonly configure: readonly string[];
  /** Targets and variables of make; the default target when absent. */
  readonly make?: readonly string[];
  /** Targets and variables of the installation; `install` when absent. */
  readonly install?: readonly string[];
  /** Shell text that runs in the source's folder before configure, and after the installation. */
  readonly before?: string;
  readonly after?: string;
}

/** GNU Build System: configure, make, make install into /out, tidy. */
export function configureMake(options: ConfigureMake): (versions: Versions) => string {
  return (versions) =>
    [
      anvilCcEnvironment(versions, options.flags),
      `cd /build/${options.component}\n`,
      options.before ?? "",
      configure(options.configure),
      command("make", options.make ?? []),
      command("make", ["DESTDIR=/out", ...(options.install ?? ["install"])]),
      options.after ?? "",
      tidyOutput(),
    ].join("");
}

/** Runs GNU configure for a package that is cross-compiled, statically, into the folders of the Monolith. */
export function configure(args: readonly string[]): string {
  return command("./configure", [
    "--host=$ANVIL_TARGET",
    "--prefix=/usr",
    "--sysconfdir=/etc",
    "--localstatedir=/var",
    "--enable-static",
    "--disable-shared",
    ...args,
  ]);
}

/** One command with its arguments on lines of their own. Arguments are shell words: `$NAME` in them is expanded. */
export function command(program: string, args: readonly string[]): string {
  return `${[program, ...args].join(" \\\n  ")}\n`;
}

function quote(words: readonly string[]): string {
  return `"${words.join(" ")}"`;
}

/**
 * The crates of the recipe as a folder that takes the place of their registry, for a cargo without a network. Tests, build
 * scripts and macros run on the machine that builds, with the C library and the linker of the seed.
 */
export function cargoEnvironment(): string {
  return `\
mkdir -p /build/vendor /build/cargo
for crate in /src/crates/*.crate; do
  folder=/build/vendor/$(basename "$crate" .crate)
  mkdir "$folder"
  tar -xzf "$crate" -C "$folder" --strip-components=1 --no-same-owner
  printf '{"files":{},"package":"%s"}' "$(sha256sum < "$crate" | cut -d " " -f 1)" > "$folder/.cargo-checksum.json"
done
cat > /build/cargo/config.toml <<'END'
[source.crates-io]
replace-with = "vendor"
[source.vendor]
directory = "/build/vendor"
END
export CARGO_HOME=/build/cargo CARGO_TARGET_DIR=/build/target
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=gcc
`;
}

/**
 * Has `cargo_build` build for musl, after `anvilCcEnvironment` and `cargoEnvironment`: the standard library from the
 * compiler's own source, ANVIL-CC as the linker and for the C library. Nothing unwinds; what the standard library asks of an
 * unwinder is compiled from one file. Programs are in `$CARGO_TARGET_DIR/x86_64-unknown-linux-musl/release`.
 */
export function cargoForMusl({ unwinder }: { readonly unwinder: string }): string {
  return `\
mkdir -p /build/lib
$CC $CFLAGS -c -o /build/lib/unwind.o ${unwinder}
$AR rcsD /build/lib/libunwind.a /build/lib/unwind.o
# building the standard library is not in the stable part of cargo's interface
export RUSTC_BOOTSTRAP=1
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER="$CC"
rustlib=$(dirname "$(realpath /usr/lib/rustlib/src/rust/library)")
export RUSTFLAGS="-Clink-self-contained=no -Clinker-flavor=gcc -Lnative=/build/lib"
for flag in $LDFLAGS; do RUSTFLAGS="$RUSTFLAGS -Clink-arg=$flag"; done
RUSTFLAGS="$RUSTFLAGS --remap-path-prefix=/build=. --remap-path-prefix=$rustlib=rust -Cforce-unwind-tables=no"
cargo_build() {
  cargo build --offline --frozen -Zbuild-std=std,panic_abort -Zbuild-std-features= --release \\
    --target x86_64-unknown-linux-musl -j "$JOBS" "$@"
}
`;
}

/**
 * For crates with C in them, after `cargoForMusl`: ANVIL-CC compiles it, the seed's compiler what runs during the build.
 * Crates that make their bindings from headers read ANVIL-CC's, with the seed's Clang.
 */
export function cargoBindings(): string {
  return `\
include=$(dirname "$(dirname "$(command -v "$CC")")")/$ANVIL_TARGET/include
export CC_x86_64_unknown_linux_musl="$CC" AR_x86_64_unknown_linux_musl="$AR" CFLAGS_x86_64_unknown_linux_musl="$CFLAGS"
export CC_x86_64_unknown_linux_gnu=gcc AR_x86_64_unknown_linux_gnu=ar CFLAGS_x86_64_unknown_linux_gnu=-O1
unset CC CXX AR CFLAGS CXXFLAGS CPPFLAGS
LIBCLANG_PATH=$(echo /usr/lib/llvm-*/lib)
export LIBCLANG_PATH
clang=$(echo $LIBCLANG_PATH/clang/*/include)
export BINDGEN_EXTRA_CLANG_ARGS_x86_64_unknown_linux_musl="-nostdinc -isystem $clang -isystem $include"
# with bindings made from headers, aws-lc-sys would be built by cmake unless told not to
export AWS_LC_SYS_CMAKE_BUILDER=0
`;
}

/**
 * Takes out of the workspace's `Cargo.lock` what a purge left without a user, and a repository in whose place there is a
 * folder now. Fails when that changes a crate: what is built is what the lock file names.
 */
export function prunedLock(): string {
  return `\
crates() { awk '$1 == "name" { name = $3 } $1 == "version" { version = $3 } $1 == "checksum" { print name, version, $3 }' "$1" | sort; }
crates Cargo.lock > /build/crates
cargo metadata --offline --format-version 1 > /dev/null
crates Cargo.lock | comm -13 /build/crates - > /build/other
if [ -s /build/other ]; then echo "these crates are not those of the lock file:" >&2; cat /build/other >&2; exit 1; fi
`;
}
