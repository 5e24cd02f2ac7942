/** The initramfs: what finds the root and mounts it. See system/initramfs/init. */
import { contains, exists } from "../src/recipe/proof.ts";
import { cpio, recipe, type Recipe } from "../src/recipe/recipe.ts";
import { tree } from "../src/recipe/tree.ts";
import { busybox } from "./busybox.ts";
import { suffix } from "./rootfs.ts";
import { seedBase } from "./seed.ts";
import { zfs } from "./zfs.ts";

const contents = (rootLogin: boolean): Recipe =>
  tree({
    name: `initramfs-tree${suffix({ rootLogin })}`,
    seed: seedBase,
    from: [busybox, zfs],
    only: {
      busybox: ["usr/bin", "usr/sbin"],
      zfs: ["usr/sbin/zfs-tools", "usr/sbin/zpool", "usr/sbin/zfs", "usr/sbin/mount.zfs"],
    },
    files: {
      init: "system/initramfs/init",
      "lib/anvil": "system/initramfs/lib",
      // what lib/rescue.sh looks for: in the archive itself, so that no menu or command line can forget it
      ...(rootLogin ? {} : { "etc/anvil/no-root-login": { text: "" } }),
    },
    links: { bin: "usr/bin", sbin: "usr/sbin" },
    folders: ["dev", "etc", "proc", "root", "run", "sys", "sysroot", "tmp"],
    proves: [
      exists("init", "lib/anvil/*.sh", "usr/bin/sh", "usr/bin/mount", "usr/sbin/zpool", "usr/sbin/zfs"),
      contains("init", /^#!\/bin\/busybox sh$/),
    ],
  });

/** `initramfs.img`, compressed as the kernel's decompressor takes it: a window of at most 128 MiB. */
function image(rootLogin: boolean): Recipe {
  const archive = `initramfs${suffix({ rootLogin })}`;
  const from = contents(rootLogin);
  return recipe({
    name: `initramfs-image${suffix({ rootLogin })}`,
    licence: from.licence,
    seed: seedBase,
    inputs: [cpio(archive, from)],
    script: `\
zstd --ultra -22 --single-thread --no-progress /in/${archive}/${archive}.cpio -o /out/initramfs.img
zstd --test --memory=128MB /out/initramfs.img
`,
    proves: [exists("initramfs.img")],
  });
}

/** Of a system with root login: its rescue shell asks for nothing. */
export const initramfs = image(true);
/** Of a system without: it has no rescue shell, whatever stands on the kernel command line. */
export const closedInitramfs = image(false);
