/** OpenZFS command-line tools. The kernel half is grafted in by `linux.ts`. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, exists, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source, type Recipe, type Versions } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, command, configure, tidyOutput } from "../src/recipe/style.ts";
import { libtirpc } from "./libtirpc.ts";
import { openssl } from "./openssl.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";
import { utilLinux } from "./util-linux.ts";
import { zlib } from "./zlib.ts";

// zdb and zstream contain the whole of ZFS (libzpool); only the root needs them
const alone = ["zdb", "zstream"];

// These four go into the initramfs and share nearly everything: one program. Each one's objects become one object in
// which only its main is global, under a new name; so equal names in two of them do not meet.
const together = { zpool: "zpool", zfs: "zfs", "mount.zfs": "mount_zfs", zgenhostid: "zgenhostid" };

const libraries = ["libzfs", "libzfs_core", "libnvpair", "libuutil", "libzutil"];

const merge = `\
merge() {
  name=$1
  shift
  "$LD" -r -o "$name.o" "$@"
  "$OBJCOPY" --redefine-sym "main=\${name}_main" --keep-global-symbol="\${name}_main" "$name.o"
}
`;

// libcrypto and the cryptography of ZFS itself (icp, part of libzpool) hold the same AES-GCM in assembly, by the same
// author and under the same names: here those of libcrypto get others.
const privateCrypto = (copy: string): string => `\
${copy}\
"$NM" --defined-only --extern-only /build/openssl/lib/libcrypto.a > /build/symbols
sed -n 's/.* T \\(\\(aesni_\\)\\?gcm_.*\\)/\\1 libcrypto_\\1/p' /build/symbols > /build/renamed
"$OBJCOPY" --redefine-syms=/build/renamed /build/openssl/lib/libcrypto.a
swap() {
  echo "$1" | sed 's|/deps/openssl/usr|/build/openssl|'
}
CPPFLAGS=$(swap "$CPPFLAGS") LDFLAGS=$(swap "$LDFLAGS") PKG_CONFIG_LIBDIR=$(swap "$PKG_CONFIG_LIBDIR")
`;

/** Where things stand in the tree, by version: 2.2 turned the recursive makefiles into one. */
function layout(versions: Versions) {
  return versions.atLeast("zfs", "2.2")
    ? {
        build: command("make", [...Object.keys(together), ...alone]),
        object: (name: string): string => `cmd/${name}.o`,
        program: (name: string): string => name,
        library: (name: string): string => `${name}.la`,
        featureSets: "make DESTDIR=/out install-dist_zpoolcompatDATA zpool-install-data-hook\n",
      }
    : {
        build: ["include", "lib", ...[...Object.values(together), ...alone].map((name) => `cmd/${name}`)]
          .map((folder) => `make -C ${folder}\n`)
          .join(""),
        object: (name: string): string => `cmd/${name}/${name}.o`,
        program: (name: string): string => `cmd/${name}/${name}`,
        library: (name: string): string => `lib/${name}/${name}.la`,
        featureSets: "make -C cmd/zpool DESTDIR=/out install-dist_zpoolcompatDATA install-data-hook\n",
      };
}

function script(versions: Versions, copy: string): string {
  const { build, object, program, library, featureSets } = layout(versions);
  return [
    anvilCcEnvironment(versions),
    privateCrypto(copy),
    "cd /build/zfs\n",
    configure([
      "--with-config=user",
      ...["nls", "pam", "pyzfs", "systemd", "sysvinit"].map((name) => `--disable-${name}`),
      "--without-libunwind",
    ]),
    "make gitrev\n",
    build,
    merge,
    "merge zpool $(find cmd/zpool -name '*.o' | sort)\n",
    "merge zfs $(find cmd/zfs -name '*.o' | sort)\n",
    `merge mount_zfs ${object("mount_zfs")}\n`,
    `merge zgenhostid ${object("zgenhostid")}\n`,
    "$CC $CPPFLAGS $CFLAGS -c -o tools.o /files/native/zfs-tools/main.c\n",
    command("./libtool --tag=CC --mode=link $CC $CFLAGS $LDFLAGS -o zfs-tools tools.o", [
      ...Object.values(together).map((name) => `${name}.o`),
      ...libraries.map(library),
      "-lblkid -luuid -lm",
    ]),
    `install -D -t /out/usr/sbin zfs-tools ${alone.map(program).join(" ")}\n`,
    ...Object.keys(together).map((name) => `ln -s zfs-tools /out/usr/sbin/${name}\n`),
    // for "zpool create -o compatibility="; it also makes the folder of "zpool status -c", whose scripts are left out
    featureSets,
    "rm -r /out/etc\n",
    tidyOutput(),
  ].join("");
}

/** @param copy command line that makes a copy of libcrypto's folder that can be written */
export const zfsWith = (copy: string): Recipe =>
  recipe({
    name: "zfs",
    licence: "CDDL-1.0",
    source: source("zfs"),
    files: ["native/zfs-tools/main.c"],
    seed: seedBase,
    tools: [anvilCc],
    link: [libtirpc, openssl, utilLinux, zlib],
    script: (versions) => script(versions, copy),
    assumes: (versions) => [
      assume("zfs").tolerated("--without-libunwind"),
      ...(versions.atLeast("zfs", "2.2")
        ? [
            assume("zfs").targets("Makefile.in", "gitrev", ...Object.keys(together), ...alone),
            assume("zfs").targets("Makefile.in", ...libraries.map((name) => `${name}.la`)),
            assume("zfs").targets("Makefile.in", "install-dist_zpoolcompatDATA", "zpool-install-data-hook"),
          ]
        : [
            assume("zfs").targets("Makefile.in", "gitrev"),
            assume("zfs").paths(...[...Object.values(together), ...alone].map((name) => `cmd/${name}/Makefile.in`)),
            assume("zfs").paths(...libraries.map((name) => `lib/${name}/Makefile.in`)),
            assume("zfs").targets("cmd/zpool/Makefile.in", "install-dist_zpoolcompatDATA", "install-data-hook"),
          ]),
      // the names that libcrypto and it share
      assume("openssl").paths("crypto/modes/asm/aesni-gcm-x86_64.pl", "crypto/modes/asm/ghash-x86_64.pl"),
    ],
    proves: [
      exists(
        "usr/sbin/zpool",
        "usr/sbin/zfs",
        "usr/sbin/mount.zfs",
        "usr/sbin/zgenhostid",
        "usr/share/zfs/compatibility.d",
      ),
      isStaticPie("usr/sbin/zfs-tools", "usr/sbin/zdb", "usr/sbin/zstream"),
      builtByAnvilCc(),
      noBuildPaths(),
      // without /dev/zfs they cannot say their version; zdb shows what it can do where the pool image is checked
      runs("usr/sbin/zpool", "--help", /^usage: zpool command/),
      runs("usr/sbin/zfs", "--help", /^usage: zfs command/),
    ],
  });

export const zfs = zfsWith("cp -r --no-preserve=mode /deps/openssl/usr /build/openssl\n");
