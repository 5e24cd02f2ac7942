/** The compiler, built by itself, with the tools that a build calls. docs/self-hosting.md says why these. */
import { builtByAnvilCc, exists, isStaticPie, noBuildPaths, runs } from "../../src/recipe/proof.ts";
import { recipe, source } from "../../src/recipe/recipe.ts";
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
const names = launched.map(({ name }) => name).join(" ");

const ccTools = recipe({
  name: "cc-tools",
  licence: launched.map(({ licence }) => `(${licence})`).join(" AND "),
  files: ["system/ingots/cc"],
  seed: seedBase,
  inputs: launched,
  script: `
mkdir -p /out/usr/libexec/cc /out/usr/$ANVIL_TARGET/lib
for name in ${names}; do
  cp -a /in/$name/. /out
  chmod -R u+w /out
  mv /out/usr/bin/$name /out/usr/libexec/cc/$name
  cp /files/system/ingots/cc/launch /out/usr/bin/$name
done
cp /files/system/ingots/cc/health /out/usr/libexec/cc
# where the compiler looks
mv /out/usr/lib/libfl.a /out/usr/$ANVIL_TARGET/lib
ln -s pkgconf /out/usr/bin/pkg-config
`,
  proves: [
    exists("usr/share/bison/m4sugar/m4sugar.m4", "usr/lib/perl5/strict.pm", "usr/libexec/cc/health"),
    isStaticPie("usr/libexec/cc/bison", "usr/libexec/cc/flex", "usr/libexec/cc/perl"),
    builtByAnvilCc(),
    noBuildPaths(),
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
