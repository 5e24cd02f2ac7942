/** The image that ships: boots on PC BIOS and UEFI, as CD and written to a stick or disk. */
import type { ImageOptions } from "../src/recipe/catalogue.ts";
import type { ImageFields } from "../src/recipe/image.ts";
import { allOf } from "../src/recipe/licence.ts";
import { atMost, exists } from "../src/recipe/proof.ts";
import { recipe, type Recipe } from "../src/recipe/recipe.ts";
import { bootLoader } from "./boot-loader.ts";
import { closedInitramfs, initramfs } from "./initramfs.ts";
import { kernelOf } from "./image.ts";
import { poolImage } from "./pool-image.ts";
import { suffix } from "./rootfs.ts";
import { seedVm } from "./seed.ts";

// /build/iso, the tree of the ISO 9660 file system.
const layOut = `\
pool=$(cat $image/guid)
mkdir -p iso/EFI/BOOT iso/anvil/grub iso/anvil/pool iso/boot/grub/i386-pc
cp /in/linux/boot/vmlinuz $initramfs/initramfs.img iso/boot
cp /in/boot-loader/boot.img /in/boot-loader/core-disk.img /in/boot-loader/eltorito.img iso/boot/grub/i386-pc
cp /in/boot-loader/BOOTX64.EFI iso/EFI/BOOT
cp $image/rootfs.img iso
cp $image/build "iso/anvil/pool/$pool"
sed -e "s/@POOL@/$pool/" -e "$kind" /files/system/image/grub.cfg > iso/boot/grub/grub.cfg
sed -e "s/@POOL@/$pool/" -e "$kind" /files/system/image/grub-esp.cfg > iso/anvil/grub/grub.cfg
find iso -type d -exec chmod 755 {} +
find iso -type f -exec chmod 644 {} +
`;

// Lines of the boot menus for one kind of system only: what stands between "# @OPEN" and "# @END", or after "# @CLOSED".
const OPEN_MENU = "/^# @/d";
const CLOSED_MENU = "/^# @OPEN/,/^# @END/d; s/^# @CLOSED //";

// esp.img, the EFI system partition: a FAT of the size of what it holds and 32 KiB for its tables and folders.
const makeEsp = `\
sectors=$(( ($(stat -c %s iso/EFI/BOOT/BOOTX64.EFI) + 511) / 512 + 64 ))
truncate -s $(( (sectors + 3) / 4 * 2048 )) esp.img
mkfs.fat --invariant -n ANVIL-ESP -F 12 -f 1 -r 16 -R 1 -s 4 -a esp.img
mmd -i esp.img ::/EFI ::/EFI/BOOT ::/anvil ::/anvil/grub
mcopy -i esp.img iso/EFI/BOOT/BOOTX64.EFI ::/EFI/BOOT/BOOTX64.EFI
mcopy -i esp.img iso/anvil/grub/grub.cfg ::/anvil/grub/grub.cfg
`;

// The ESP stands once in the image, behind the file system: as partition 2 of the GPT and as El Torito image for UEFI.
// GUIDs come from the contents, times from SOURCE_DATE_EPOCH. Without weights the order of the files on the medium would
// be that of the inode numbers here. rootfs.img goes through zisofs only for its zeros, which take no room then: what it
// holds is compressed already, and to inflate it once more would take a quarter of the time from init to the shell.
const makeIso = `\
guid=$(cat iso/rootfs.img iso/boot/vmlinuz iso/boot/initramfs.img | sha256sum |
  sed -E 's/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/\\1-\\2-8\\3-8\\4-\\5/')
weight=0
find iso -type f -printf '/%P\\n' | LC_ALL=C sort -r > files
while read -r file; do
  weight=$((weight + 1))
  echo "-find '$file' -exec sort_weight $weight --"
done < files > weights
xorriso -no_rc -report_about WARNING -return_with SORRY 32 \\
  -outdev /out/anvilos-phase2.iso -volid ANVILOS -compliance no_emul_toc -padding 0 \\
  -zisofs level=0:block_size=32k \\
  -map iso / -chown_r 0 / -- -chgrp_r 0 / -- -options_from_file weights \\
  -set_filter --zisofs /rootfs.img -- \\
  -volume_date all_file_dates "=$SOURCE_DATE_EPOCH" -volume_date uuid "$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S00)" \\
  -boot_image grub bin_path=/boot/grub/i386-pc/eltorito.img -boot_image grub grub2_boot_info=on \\
  -boot_image grub grub2_mbr=/in/boot-loader/boot_hybrid.img -boot_image any partition_offset=16 \\
  -boot_image any cat_path=/boot/boot.cat -boot_image any cat_hidden=on \\
  -append_partition 2 0xef esp.img -boot_image any appended_part_as=gpt -boot_image any gpt_disk_guid="$guid" \\
  -boot_image any next -boot_image any platform_id=0xef -boot_image any emul_type=no_emulation \\
  -boot_image any efi_path=--interval:appended_partition_2:all::
`;

const readBack = `\
xorriso -no_rc -indev /out/anvilos-phase2.iso -report_el_torito plain -report_system_area plain > report
cat report
grep -E '^El Torito boot img : +1  BIOS  y ' report
grep -E '^El Torito boot img : +2  UEFI  y ' report
grep -E '^GPT type GUID      : +2  28732ac11ff8d211ba4b00a0c93ec93b' report
xorriso -no_rc -osirrox on -indev /out/anvilos-phase2.iso -extract /rootfs.img rootfs.img
cmp rootfs.img $image/rootfs.img
`;

/** @param own what a user's image has beside that of every system */
export function isoImage(options: ImageOptions, own?: ImageFields): Recipe {
  const image = poolImage(options, own);
  const kernel = kernelOf(own);
  const early = options.rootLogin ? initramfs : closedInitramfs;
  return recipe({
    name: `iso${suffix(options)}`,
    licence: allOf(image.licence, early.licence, kernel.licence, bootLoader.licence),
    files: ["system/image"],
    seed: seedVm,
    inputs: [bootLoader, image, early, kernel],
    env: { TZ: "UTC0" },
    script: [
      `image=/in/${image.name}\ninitramfs=/in/${early.name}\n`,
      `kind='${options.rootLogin ? OPEN_MENU : CLOSED_MENU}'\n`,
      ...[layOut, makeEsp, makeIso, readBack],
    ].join(""),
    proves: [exists("anvilos-phase2.iso"), atMost("anvilos-phase2.iso", own?.limits?.iso ?? 40_000_000)],
  });
}
