/** The initramfs: what finds the root and mounts it. See system/initramfs/init. */
import { builtByAnvilCc, contains, exists, isStaticPie, noBuildPaths } from "../src/recipe/proof.ts";
import { cpio, recipe, type Recipe } from "../src/recipe/recipe.ts";
import { busybox } from "./busybox.ts";
import { suffix } from "./rootfs.ts";
import { seedBase } from "./seed.ts";
import { zfs } from "./zfs.ts";

// What system/initramfs/lib/rescue.sh looks for: in the archive itself, so that no menu or command line can forget it.
const closed = `\
mkdir -p /out/etc/anvil
: > /out/etc/anvil/no-root-login
`;

const tree = (rootLogin: boolean): Recipe =>
  recipe({
    name: `initramfs-tree${suffix({ rootLogin })}`,
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
${rootLogin ? "" : closed}`,
    proves: [
      exists("init", "lib/anvil/*.sh", "usr/bin/sh", "usr/bin/mount", "usr/sbin/zpool", "usr/sbin/zfs"),
      contains("init", /^#!\/bin\/busybox sh$/),
      isStaticPie("usr/bin/busybox", "usr/sbin/zfs-tools"),
      builtByAnvilCc("usr/**"),
      noBuildPaths(),
    ],
  });

/** `initramfs.img`, compressed as the kernel's decompressor takes it: a window of at most 128 MiB. */
function image(rootLogin: boolean): Recipe {
  const archive = `initramfs${suffix({ rootLogin })}`;
  const from = tree(rootLogin);
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
