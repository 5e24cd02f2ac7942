/**
 * The seed: pinned binary packages. `seedCc` builds ANVIL-CC and nothing else; after that only the tools of `seedBase`
 * (shell, make, perl, …) are visible to a build, and those of `seedVm` to the steps that make images or run a guest.
 */
import { seed } from "../src/recipe/recipe.ts";

const userland = [
  "bash",
  "bc",
  "bison",
  "bubblewrap",
  "bzip2",
  "coreutils",
  "cpio",
  "dash",
  "debianutils",
  "diffutils",
  "file",
  "findutils",
  "flex",
  "gawk",
  "grep",
  "gzip",
  "hostname",
  "m4",
  "make",
  "patch",
  "perl",
  "pkgconf",
  "rsync",
  "sed",
  "tar",
  "xz-utils",
  "zstd",
];

export const seedBase = seed("base", userland);

export const seedCc = seed("cc", [...userland, "binutils", "g++", "gcc", "libc6-dev"]);

export const seedVm = seed("vm", [
  ...userland,
  "dosfstools",
  "grub-common",
  "grub-efi-amd64-bin",
  "grub-pc-bin",
  "ipxe-qemu",
  "mtools",
  "ovmf",
  "qemu-system-x86",
  "qemu-utils",
  "seabios",
  "xorriso",
]);
