/** A guest to boot: the kernel of the system, and an initramfs with busybox that shows each device at work. */
import { builtByAnvilCc, contains, exists, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { cpio, recipe } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, tidyOutput } from "../src/recipe/style.ts";
import { busybox } from "./busybox.ts";
import { linux } from "./linux.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

const guestVsock = recipe({
  name: "guest-vsock",
  licence: "Apache-2.0",
  files: ["native/guest-vsock"],
  seed: seedBase,
  tools: [anvilCc],
  script: (versions) =>
    [
      anvilCcEnvironment(versions),
      "mkdir -p /out/usr/bin\n",
      "$CC $CPPFLAGS -D_GNU_SOURCE -std=c11 -Wall -Wextra -Werror $CFLAGS $LDFLAGS -o /out/usr/bin/guest-vsock \\\n",
      "  /files/native/guest-vsock/main.c\n",
      tidyOutput(),
    ].join(""),
  proves: [
    isStaticPie("usr/bin/guest-vsock"),
    builtByAnvilCc(),
    noBuildPaths(),
    runs("usr/bin/guest-vsock", "--help", /^usage: guest-vsock/),
  ],
});

const tree = recipe({
  name: "guest-tree",
  licence: "Apache-2.0 AND GPL-2.0-only",
  files: ["system/guest"],
  seed: seedBase,
  inputs: [busybox, guestVsock],
  script: `\
mkdir -p /out/dev /out/mnt /out/proc /out/root /out/sys /out/tmp /out/usr
cp -a /in/busybox/usr/bin /in/busybox/usr/sbin /out/usr
chmod -R u+w /out
cp -a /in/guest-vsock/usr/bin/guest-vsock /out/usr/bin
cp -a /files/system/guest/. /out
chmod -R u+w /out
ln -s usr/bin usr/sbin /out
`,
  proves: [
    exists("etc/console", "etc/start", "etc/stop", "usr/bin/cttyhack", "usr/sbin/init", "usr/sbin/reboot"),
    contains("init", /^#!\/bin\/sh$/),
    contains("etc/inittab", /^::ctrlaltdel:\/etc\/stop$/),
    isStaticPie("usr/bin/busybox", "usr/bin/guest-vsock"),
    builtByAnvilCc("usr/**"),
    noBuildPaths(),
  ],
});

/** Not compressed: on a local disk, unpacking would take longer than reading. */
export const guest = recipe({
  name: "guest",
  licence: `${tree.licence} AND CDDL-1.0`,
  seed: seedBase,
  inputs: [linux, cpio("guest-initramfs", tree)],
  script: `\
mkdir -p /out/usr/share/anvil-vmm/guest
cp /in/linux/boot/vmlinux /out/usr/share/anvil-vmm/guest
cp /in/guest-initramfs/guest-initramfs.cpio /out/usr/share/anvil-vmm/guest/guest.cpio
`,
  proves: [exists("usr/share/anvil-vmm/guest/vmlinux", "usr/share/anvil-vmm/guest/guest.cpio")],
});
