/** The compiler, built by itself, with the tools that a build calls. docs/self-hosting.md says why these. */
import { exists, isStaticPie, runs } from "../../src/recipe/proof.ts";
import { source } from "../../src/recipe/recipe.ts";
import { TARGET } from "../../src/recipe/step.ts";
import { tree } from "../../src/recipe/tree.ts";
import { bash } from "../bash.ts";
import { bison } from "../bison.ts";
import { bzip2 } from "../bzip2.ts";
import { flex } from "../flex.ts";
import { gawk } from "../gawk.ts";
import { ingot } from "../ingot.ts";
import { m4 } from "../m4.ts";
import { make } from "../make.ts";
import { perl } from "../perl.ts";
import { pkgconf } from "../pkgconf.ts";
import { seedBase } from "../seed.ts";
import { stage3 } from "../stages.ts";
import { zstdProgram } from "../zstd-program.ts";

/** Programs that were compiled with the places of their data: a launcher tells them where it is. */
const launched = [bison, flex, perl];
const ccTools = tree({
  name: "cc-tools",
  seed: seedBase,
  from: launched,
  moves: {
    ...Object.fromEntries(launched.map(({ name }) => [`usr/bin/${name}`, `usr/libexec/cc/${name}`])),
    // where the compiler looks
    "usr/lib/libfl.a": `usr/${TARGET}/lib/libfl.a`,
  },
  files: {
    ...Object.fromEntries(launched.map(({ name }) => [`usr/bin/${name}`, "system/ingots/cc/launch"])),
    "usr/libexec/cc/health": "system/ingots/cc/health",
  },
  links: { "usr/bin/pkg-config": "pkgconf" },
  proves: [
    exists("usr/share/bison/m4sugar/m4sugar.m4", "usr/lib/perl5/strict.pm", "usr/libexec/cc/health"),
    isStaticPie("usr/libexec/cc/bison", "usr/libexec/cc/flex", "usr/libexec/cc/perl"),
    runs("usr/bin/perl", ["-MPOSIX", "-e", "print $INC{'POSIX.pm'}"], /^\/out\/usr\/lib\/perl5\//),
  ],
});

export const cc = ingot({
  name: "cc",
  version: source("gcc"),
  trees: [stage3, ccTools, bash, bzip2, gawk, m4, make, pkgconf, zstdProgram],
  health: { seconds: 300, program: "usr/libexec/cc/health" },
  atMost: 60_000_000,
});
