/** A kernel that breaks every rule of its devices, for the tests of the monitor. Ships nowhere. */
import { exists, isStatic } from "../src/recipe/proof.ts";
import { recipe } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

// of a program of the system it has neither the C library, nor the start files, nor registers that nobody saves
const flags = [
  "-std=c11 -O2 -Wall -Wextra -Werror -ffreestanding -fno-builtin -fno-pic -fno-stack-protector -fcf-protection=none",
  "-mno-red-zone -mgeneral-regs-only -nostdlib -static -no-pie -Wl,-T,link.ld -Wl,--build-id=none",
  "-Wl,--no-warn-rwx-segments",
].join(" ");

export const hostileGuest = recipe({
  name: "hostile-guest",
  licence: "Apache-2.0",
  files: ["native/hostile-guest"],
  seed: seedBase,
  tools: [anvilCc],
  script: (versions) =>
    [
      anvilCcEnvironment(versions),
      "cd /files/native/hostile-guest\n",
      "mkdir -p /out/boot\n",
      `$CC ${flags} -o /out/boot/hostile entry.S main.c\n`,
    ].join(""),
  proves: [exists("boot/hostile"), isStatic("boot/hostile")],
});
