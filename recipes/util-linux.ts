/** Partition tables and what is on a block device: sfdisk, wipefs, blkid, partx, lsblk; libuuid and libblkid for OpenZFS. */
import { builtByAnvilCc, exists, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, command, tidyOutput } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

const sbin = ["blkid", "partx", "sfdisk", "wipefs"];
const bin = ["lsblk"];
const libraries = { uuid: "uuid", blkid: "blkid" };

// --disable-all-programs cannot be taken back for single programs (UL_BUILD_INIT), so make is given their names
const install = [
  `install -D -t /out/usr/sbin ${sbin.join(" ")}\n`,
  `install -D -t /out/usr/bin ${bin.join(" ")}\n`,
  ...Object.entries(libraries).map(
    ([name, folder]) =>
      `install -D -m 644 -t /out/usr/lib .libs/lib${name}.a\n` +
      `install -D -m 644 -t /out/usr/include/${folder} lib${name}/src/${name}.h\n` +
      `install -D -m 644 -t /out/usr/lib/pkgconfig lib${name}/${name}.pc\n`,
  ),
];

export const utilLinux = recipe({
  name: "util-linux",
  licence: "GPL-2.0-or-later AND LGPL-2.1-or-later AND BSD-3-Clause",
  source: source("util-linux"),
  seed: seedBase,
  tools: [anvilCc],
  script: [
    anvilCcEnvironment(),
    "cd /build/util-linux\n",
    command("./configure", [
      "--host=$ANVIL_TARGET",
      "--prefix=/usr",
      "--sysconfdir=/etc",
      "--localstatedir=/var",
      "--disable-shared",
      "--enable-static",
      "--disable-nls",
      "--disable-asciidoc",
      "--disable-bash-completion",
      ...["btrfs", "cap-ng", "econf", "libmagic", "libz", "ncurses", "ncursesw", "python"].map(
        (name) => `--without-${name}`,
      ),
      ...["readline", "systemd", "tinfo", "udev", "user"].map((name) => `--without-${name}`),
    ]),
    command("make", [...Object.keys(libraries).map((name) => `lib${name}.la`), ...sbin, ...bin]),
    ...install,
    tidyOutput(),
  ].join(""),
  proves: [
    exists("usr/lib/libuuid.a", "usr/lib/libblkid.a", "usr/include/uuid/uuid.h", "usr/include/blkid/blkid.h"),
    isStaticPie("usr/sbin/*", "usr/bin/*"),
    builtByAnvilCc(),
    noBuildPaths(),
    runs("usr/sbin/sfdisk", "--version", /util-linux 2\./),
    runs("usr/bin/lsblk", "--version", /util-linux 2\./),
  ],
});
