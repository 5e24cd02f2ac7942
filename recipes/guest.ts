/** A guest to boot: the kernel of the system, and an initramfs with busybox that shows each device at work. */
import { builtByAnvilCc, contains, exists, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { cpio, recipe } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, tidyOutput } from "../src/recipe/style.ts";
import { tree } from "../src/recipe/tree.ts";
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

const guestTree = tree({
  name: "guest-tree",
  seed: seedBase,
  from: [busybox, guestVsock],
  only: { busybox: ["usr/bin", "usr/sbin"] },
  files: { ".": "system/guest" },
  links: { bin: "usr/bin", sbin: "usr/sbin" },
  folders: ["dev", "mnt", "proc", "root", "sys", "tmp"],
  proves: [
    exists("etc/console", "etc/start", "etc/stop", "usr/bin/cttyhack", "usr/sbin/init", "usr/sbin/reboot"),
    contains("init", /^#!\/bin\/sh$/),
    contains("etc/inittab", /^::ctrlaltdel:\/etc\/stop$/),
  ],
});

/** Not compressed: on a local disk, unpacking would take longer than reading. */
export const guest = tree({
  name: "guest",
  seed: seedBase,
  from: [linux, cpio("guest-initramfs", guestTree)],
  only: { linux: ["boot/vmlinux"] },
  moves: {
    "boot/vmlinux": "usr/share/anvil-vmm/guest/vmlinux",
    "guest-initramfs.cpio": "usr/share/anvil-vmm/guest/guest.cpio",
  },
  proves: [exists("usr/share/anvil-vmm/guest/vmlinux", "usr/share/anvil-vmm/guest/guest.cpio")],
});
