/** `rootfs.img`, the ZFS pool that holds the root: made by our own kernel and tools in a virtual machine. */
import type { ImageOptions } from "../src/recipe/catalogue.ts";
import { MiB, type ImageFields } from "../src/recipe/image.ts";
import { contains, exists } from "../src/recipe/proof.ts";
import { cpio, recipe, type Recipe } from "../src/recipe/recipe.ts";
import { tree } from "../src/recipe/tree.ts";
import { busybox } from "./busybox.ts";
import { linux } from "./linux.ts";
import { rootfs, suffix } from "./rootfs.ts";
import { seedBase, seedVm } from "./seed.ts";
import { zfs } from "./zfs.ts";

/** Bytes of the pool: ZFS takes no smaller device. What is unused is zeros, which the ISO does not store. */
const SMALLEST = 64 * MiB;

/** What runs in the guest: `init` and its tools, and the root in `/tree`. */
function guestTree(root: Recipe, name: string): Recipe {
  return tree({
    name,
    seed: seedBase,
    from: [busybox, zfs, root],
    only: {
      busybox: ["usr/bin", "usr/sbin"],
      zfs: ["usr/sbin/zfs-tools", "usr/sbin/zpool", "usr/sbin/zfs"],
    },
    at: { [root.folder]: "tree" },
    files: { init: "system/pool/init", modes: "system/pool/modes" },
    links: { bin: "usr/bin", sbin: "usr/sbin" },
    folders: ["dev", "proc", "sys"],
    proves: [exists("init", "modes", "tree/usr/bin/busybox", "usr/sbin/zpool", "usr/bin/sh")],
  });
}

// The guest's clock follows from the instructions that it runs (icount), its random numbers from a constant, and each of
// its devices answers within the instruction that asks (a disk, or a port with ioeventfd, answers when the host has
// time). So the pool, with its GUIDs and times, is the same in every build. "microvm" has no controllers for whose
// time-outs the kernel would sleep; system/pool/init says why it must not.
const runGuest = (archive: string, size: number): string => `\
timeout 1800 qemu-system-x86_64 -no-user-config -nodefaults -display none -no-reboot -serial file:serial.log \\
  -machine microvm,rtc=on -accel tcg,thread=single -cpu max -smp 1 -m 1024 -seed 1 -icount shift=0,sleep=off \\
  -rtc "base=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%S),clock=vm" \\
  -kernel /in/linux/boot/vmlinuz -initrd /in/${archive}/${archive}.cpio \\
  -append "console=ttyS0 quiet panic=-1 SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH IMAGE_SIZE=${size}" \\
  -global virtio-mmio.ioeventfd=off -device virtio-serial-device \\
  -chardev file,id=image,path=image -device virtserialport,chardev=image ||
  echo "QEMU ended with status $?" >&2
tr -d '\\r' < serial.log > guest.log
cat guest.log
`;

// The guest's word alone is not enough: the pool is read back without a kernel, every block against its checksum.
const check = (size: number): string => `\
if ! grep '^anvil-pool: done, ' guest.log > end; then
  echo "the guest did not finish the pool; its console stands above" >&2
  exit 1
fi
sed 's/.*, guid \\([0-9]*\\),.*/\\1/' end > /out/guid
sed 's/.*, build //' end > /out/build
test "$(stat -c %s image)" = ${size}
cp --sparse=always image /out/rootfs.img
zdb -e -p /out -bcc anvil
`;

/** Its output: `rootfs.img`; `guid`, that of the pool, decimal; `build`, as in `anvil/ROOT/<build>`. */
export function poolImage(options: ImageOptions, own?: ImageFields): Recipe {
  const root = rootfs(options, own);
  const size = own?.limits?.root ?? SMALLEST;
  const archive = `pool-guest${suffix(options)}`;
  return recipe({
    name: `pool-image${suffix(options)}`,
    licence: root.licence,
    seed: seedVm,
    tools: [zfs],
    inputs: [linux, cpio(archive, guestTree(root, `${archive}-tree`))],
    script: runGuest(archive, size) + check(size),
    proves: [exists("rootfs.img"), contains("guid", /^[1-9][0-9]*$/), contains("build", /^[0-9a-f]{12}$/)],
  });
}
