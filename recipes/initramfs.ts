/** The initramfs: what finds the root and mounts it. See system/initramfs/init. */
import { builtByAnvilCc, contains, exists, isStaticPie, noBuildPaths } from "../src/recipe/proof.ts";
import { cpio, recipe } from "../src/recipe/recipe.ts";
import { busybox } from "./busybox.ts";
import { seedBase } from "./seed.ts";
import { zfs } from "./zfs.ts";

const tree = recipe({
  name: "initramfs-tree",
  licence: "Apache-2.0 AND GPL-2.0-only AND CDDL-1.0",
  files: ["system/initramfs"],
  seed: seedBase,
  inputs: [busybox, zfs],
  script: `\
mkdir -p /out/dev /out/etc /out/lib/anvil /out/proc /out/root /out/run /out/sys /out/sysroot /out/tmp /out/usr
cp -a /in/busybox/usr/bin /in/busybox/usr/sbin /out/usr
chmod -R u+w /out
cp -a /in/zfs/usr/sbin/zfs-tools /in/zfs/usr/sbin/zpool /in/zfs/usr/sbin/zfs /in/zfs/usr/sbin/mount.zfs /out/usr/sbin
ln -s usr/bin usr/sbin /out
install -m 755 /files/system/initramfs/init /out/init
install -m 644 /files/system/initramfs/lib/*.sh /out/lib/anvil
`,
  proves: [
    exists("init", "lib/anvil/*.sh", "usr/bin/sh", "usr/bin/mount", "usr/sbin/zpool", "usr/sbin/zfs"),
    contains("init", /^#!\/bin\/busybox sh$/),
    isStaticPie("usr/bin/busybox", "usr/sbin/zfs-tools"),
    builtByAnvilCc("usr/**"),
    noBuildPaths(),
  ],
});

/** `initramfs.img`, compressed as the kernel's decompressor takes it: a window of at most 128 MiB. */
export const initramfs = recipe({
  name: "initramfs-image",
  licence: tree.licence,
  seed: seedBase,
  inputs: [cpio("initramfs", tree)],
  script: `\
zstd --ultra -22 --single-thread --no-progress /in/initramfs/initramfs.cpio -o /out/initramfs.img
zstd --test --memory=128MB /out/initramfs.img
`,
  proves: [exists("initramfs.img")],
});
