/** Partition tables and what is on a block device: sfdisk, wipefs, blkid, partx, lsblk; libuuid and libblkid for OpenZFS. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, exists, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, command, configure, tidyOutput } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

const sbin = ["blkid", "partx", "sfdisk", "wipefs"];
const bin = ["lsblk"];
const libraries = ["blkid", "uuid"];

const unused = [
  ...["btrfs", "cap-ng", "cryptsetup", "econf", "libmagic", "libz", "ncurses", "ncursesw", "python", "readline"],
  ...["systemd", "tinfo", "udev", "user"],
];

const install = `\
install -D -t /out/usr/sbin ${sbin.join(" ")}
install -D -t /out/usr/bin ${bin.join(" ")}
for name in ${libraries.join(" ")}; do
  install -D -m 644 -t /out/usr/lib ".libs/lib$name.a"
  install -D -m 644 -t "/out/usr/include/$name" "lib$name/src/$name.h"
  install -D -m 644 -t /out/usr/lib/pkgconfig "lib$name/$name.pc"
done
`;

export const utilLinux = recipe({
  name: "util-linux",
  licence: "GPL-2.0-or-later AND LGPL-2.1-or-later AND BSD-3-Clause",
  source: source("util-linux"),
  seed: seedBase,
  tools: [anvilCc],
  script: (versions) =>
    [
      anvilCcEnvironment(versions),
      "cd /build/util-linux\n",
      configure([
        // since 2.40 lastlog2 is on and wants SQLite; earlier versions do not know the name and go on
        ...["asciidoc", "bash-completion", "liblastlog2", "nls", "pam-lastlog2"].map((name) => `--disable-${name}`),
        ...unused.map((name) => `--without-${name}`),
      ]),
      // --disable-all-programs cannot be taken back for single programs (UL_BUILD_INIT): make is given their names
      command("make", [...libraries.flatMap((name) => [`lib${name}.la`, `lib${name}/${name}.pc`]), ...sbin, ...bin]),
      install,
      tidyOutput(),
    ].join(""),
  assumes: [
    assume("util-linux").tolerated("--disable-liblastlog2", "--disable-pam-lastlog2"),
    assume("util-linux").targets("Makefile.in", ...libraries.map((name) => `lib${name}.la`)),
    assume("util-linux").paths(...libraries.map((name) => `lib${name}/${name}.pc.in`)),
    assume("util-linux").targets("Makefile.in", ...sbin, ...bin),
    assume("util-linux").paths("libblkid/src/blkid.h.in", "libuuid/src/uuid.h"),
  ],
  proves: [
    exists("usr/lib/libuuid.a", "usr/lib/libblkid.a", "usr/include/uuid/uuid.h", "usr/include/blkid/blkid.h"),
    isStaticPie("usr/sbin/*", "usr/bin/*"),
    builtByAnvilCc(),
    noBuildPaths(),
    runs("usr/sbin/sfdisk", "--version", /util-linux 2\./),
    runs("usr/bin/lsblk", "--version", /util-linux 2\./),
  ],
});
