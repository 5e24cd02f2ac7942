/** GRUB for PC BIOS and UEFI, linked from the seed's modules: for the ISO as CD or USB stick, and for installed disks. */
import { atMost, exists } from "../src/recipe/proof.ts";
import { recipe } from "../src/recipe/recipe.ts";
import { seedVm } from "./seed.ts";

// Everything that a menu needs is inside each image: no module is loaded from a disk.
const modules = [
  "cat",
  "configfile",
  "echo",
  "fat",
  "halt",
  "iso9660",
  "keystatus",
  "linux",
  "ls",
  "normal",
  "part_gpt",
  "part_msdos",
  "reboot",
  "search",
  "search_fs_file",
  "search_fs_uuid",
  "search_label",
  "sleep",
  "test",
];
const pc = [...modules, "biosdisk", "linux16", "serial", "terminal"];
const efi = [...modules, "all_video", "efi_gop", "efi_uga", "efifwsetup"];

/**
 * | file            | started by                                   | reads                                        |
 * |-----------------|----------------------------------------------|----------------------------------------------|
 * | boot_hybrid.img | BIOS, as MBR of the ISO on a stick or disk   | eltorito.img, which xorriso tells it where   |
 * | eltorito.img    | BIOS from CD, or boot_hybrid.img             | /boot/grub/grub.cfg beside it                |
 * | boot.img        | BIOS, as MBR of an installed disk            | core-disk.img in the BIOS boot partition     |
 * | core-disk.img   | boot.img                                     | /anvil/grub/grub.cfg in partition 2, the ESP |
 * | BOOTX64.EFI     | UEFI                                         | /anvil/grub/grub.cfg of the ESP it stands in |
 *
 * Whoever installs the pair for disks writes the place of core-disk.img into both, as `grub-bios-setup` does.
 */
export const bootLoader = recipe({
  name: "boot-loader",
  licence: "GPL-3.0-or-later",
  seed: seedVm,
  script: `\
modules=/usr/lib/grub
cp $modules/i386-pc/boot.img $modules/i386-pc/boot_hybrid.img /out
grub-mkimage -O i386-pc-eltorito -p /boot/grub -o /out/eltorito.img ${pc.join(" ")}
grub-mkimage -O i386-pc -p '(,gpt2)/anvil/grub' -o /out/core-disk.img ${pc.join(" ")}
grub-mkimage -O x86_64-efi -p /anvil/grub -o /out/BOOTX64.EFI ${efi.join(" ")}
`,
  proves: [
    exists("boot.img", "boot_hybrid.img", "eltorito.img", "core-disk.img", "BOOTX64.EFI"),
    atMost("boot.img", 512),
    atMost("boot_hybrid.img", 512),
    // the usual BIOS boot partition is 1 MiB and starts at 1 MiB
    atMost("core-disk.img", 1024 * 1024),
    atMost("BOOTX64.EFI", 1024 * 1024),
  ],
});
