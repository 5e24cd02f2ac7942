/** OpenZFS command-line tools. The kernel half is grafted in by `linux.ts`. */
import { builtByAnvilCc, exists, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source, type Versions } from "../src/recipe/recipe.ts";
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

const merge = `\
merge() {
  name=$1
  shift
  "$LD" -r -o "$name.o" "$@"
  "$OBJCOPY" --redefine-sym "main=\${name}_main" --keep-global-symbol="\${name}_main" "$name.o"
}
`;

function script(versions: Versions): string {
  // 2.2 turned the recursive makefiles into one
  const flat = versions.atLeast("zfs", "2.2");
  const library = (name: string): string => (flat ? `${name}.la` : `lib/${name}/${name}.la`);
  const objects = (folder: string, name: string): string => (flat ? `cmd/${name}.o` : `cmd/${folder}/*.o`);
  const programs = [...Object.keys(together), ...alone];
  const path = (program: string): string =>
    flat ? program : `cmd/${program === "mount.zfs" ? "mount_zfs" : program}/${program}`;
  return [
    anvilCcEnvironment(),
    "cd /build/zfs\n",
    configure([
      "--with-config=user",
      ...["nls", "pam", "pyzfs", "systemd", "sysvinit"].map((name) => `--disable-${name}`),
      "--without-libunwind",
    ]),
    "make gitrev\n",
    flat ? command("make", programs) : "make -C include\nmake -C lib\n",
    ...(flat ? [] : programs.map((program) => `make -C ${path(program).replace(/\/[^/]*$/, "")}\n`)),
    merge,
    "merge zpool $(find cmd/zpool -name '*.o' | sort)\n",
    "merge zfs $(find cmd/zfs -name '*.o' | sort)\n",
    `merge mount_zfs ${objects("mount_zfs", "mount_zfs")}\n`,
    `merge zgenhostid ${objects("zgenhostid", "zgenhostid")}\n`,
    "$CC $CPPFLAGS $CFLAGS -c -o tools.o /files/native/zfs-tools/main.c\n",
    command("./libtool --tag=CC --mode=link $CC $CFLAGS $LDFLAGS", [
      "-o zfs-tools",
      "tools.o",
      ...Object.values(together).map((name) => `${name}.o`),
      ...["libzfs", "libzfs_core", "libnvpair", "libuutil", "libzutil"].map(library),
      "-lblkid -luuid -lm",
    ]),
    `install -D -t /out/usr/sbin zfs-tools ${alone.map(path).join(" ")}\n`,
    ...Object.keys(together).map((program) => `ln -s zfs-tools /out/usr/sbin/${program}\n`),
    // feature sets for "zpool create -o compatibility="; the second target also makes the folder of "zpool status -c"
    `make ${flat ? "" : "-C cmd/zpool "}DESTDIR=/out install-dist_zpoolcompatDATA ${flat ? "zpool-install-data-hook" : "install-data-hook"}\n`,
    "rm -r /out/etc\n",
    tidyOutput(),
  ].join("");
}

export const zfs = recipe({
  name: "zfs",
  licence: "CDDL-1.0",
  source: source("zfs"),
  files: ["native/zfs-tools/main.c"],
  seed: seedBase,
  tools: [anvilCc],
  link: [libtirpc, openssl, utilLinux, zlib],
  script,
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
    runs("usr/sbin/zgenhostid", "-h", /^Usage: zgenhostid/),
    // without /dev/zfs it cannot say its version, but which it is
    runs("usr/sbin/zpool", "help", /^The following commands are supported/),
    runs("usr/sbin/zdb", "--help", /zdb/),
  ],
});
