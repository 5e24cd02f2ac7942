/** `rootfs.img`, the ZFS pool that holds the root: made by our own kernel and tools in a virtual machine. */
import { contains, exists } from "../src/recipe/proof.ts";
import { cpio, recipe } from "../src/recipe/recipe.ts";
import { busybox } from "./busybox.ts";
import { linux } from "./linux.ts";
import { rootfs } from "./rootfs.ts";
import { seedBase, seedVm } from "./seed.ts";
import { zfs } from "./zfs.ts";

const guest = recipe({
  name: "pool-guest-tree",
  licence: "Apache-2.0 AND GPL-2.0-only AND CDDL-1.0",
  files: ["system/pool"],
  seed: seedBase,
  inputs: [busybox, rootfs, zfs],
  script: `\
mkdir -p /out/dev /out/proc /out/sys /out/usr
cp -a /in/busybox/usr/bin /in/busybox/usr/sbin /out/usr
ln -s usr/bin usr/sbin /out
cp /in/zfs/usr/sbin/zpool /in/zfs/usr/sbin/zfs /out/usr/sbin
install -m 755 /files/system/pool/init /out/init
install -m 644 /files/system/pool/modes /out/modes
cp -a /in/rootfs /out/tree
`,
  proves: [exists("init", "modes", "tree/usr/bin/busybox", "usr/sbin/zpool", "usr/bin/sh")],
});

/** Of the image: ZFS takes no smaller device. What is unused is zeros, which the ISO does not store. */
const size = 64 * 1024 * 1024;

// The guest's clock and its random numbers follow from the instructions that it runs (icount) and from constants, so
// that GUIDs and times in the pool do not differ between builds. It has no network and no device but disk and serial
// port.
const machine = `\
qemu-system-x86_64 -no-user-config -nodefaults -display none -no-reboot \\
  -machine q35 -accel tcg,thread=single -cpu max -smp 1 -m 1024 \\
  -icount shift=0,sleep=off -rtc base=@$SOURCE_DATE_EPOCH,clock=vm -seed 1 \\
  -kernel /in/linux/boot/vmlinuz -initrd /in/pool-guest/pool-guest.cpio \\
  -append "console=ttyS0 quiet panic=-1 SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH" \\
  -drive if=none,id=disk,format=raw,file=/out/rootfs.img,cache=unsafe,detect-zeroes=on -device virtio-blk-pci,drive=disk \\
  -serial stdio </dev/null`;

export const poolImage = recipe({
  name: "pool-image",
  licence: rootfs.licence,
  seed: seedVm,
  tools: [zfs],
  inputs: [linux, cpio("pool-guest", guest)],
  script: `\
truncate -s ${size} /out/rootfs.img
timeout 900 ${machine} | tr -d '\\r' | tee guest.log
sed -n 's/^anvil-pool: done, guid \\([0-9]*\\), build .*/\\1/p' guest.log > /out/guid
sed -n 's/^anvil-pool: done, .*, build //p' guest.log > /out/build
# The guest's word is not enough: the pool is read back without a kernel, every block of it against its checksum.
zdb -e -p /out -bcc anvil
`,
  proves: [exists("rootfs.img"), contains("guid", /^[1-9][0-9]*$/), contains("build", /^[0-9a-f]{12}$/)],
});
