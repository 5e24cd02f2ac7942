/**
 * The root of steps that see no seed: the Monolith's userland (busybox), and beside it those tools of a build that it
 * does not have. Every program in it was compiled by ANVIL-CC.
 */
import { builtByAnvilCc, exists, isStaticPie, noBuildPaths } from "../src/recipe/proof.ts";
import { recipe, type Recipe } from "../src/recipe/recipe.ts";
import { bash } from "./bash.ts";
import { bison } from "./bison.ts";
import { busybox } from "./busybox.ts";
import { flex } from "./flex.ts";
import { gawk } from "./gawk.ts";
import { m4 } from "./m4.ts";
import { make } from "./make.ts";
import { seedBase } from "./seed.ts";

/** busybox with these tools beside it; bash, which runs the scripts of steps, has to be one of them. */
export function rootOf(name: string, tools: readonly Recipe[]): Recipe {
  return recipe({
    name,
    licence: [busybox, ...tools].map(({ licence }) => licence).join(" AND "),
    seed: seedBase,
    inputs: [busybox, ...tools],
    // a tool takes the place of busybox' link of that name
    script: `
mkdir -p /out/etc /out/usr /out/var
for tree in busybox ${tools.map(({ name }) => name).join(" ")}; do
  cp -a --remove-destination /in/$tree/usr/. /out/usr
  chmod -R u+w /out
done
ln -s usr/bin usr/sbin /out
echo 'root:x:0:0:root:/root:/bin/sh' > /out/etc/passwd
echo 'anvil:x:1000:1000:anvil:/build:/bin/sh' >> /out/etc/passwd
printf 'root:x:0:\\nanvil:x:1000:\\n' > /out/etc/group
`,
    proves: [
      exists("bin", "usr/bin/sh", "usr/bin/bash", "usr/bin/env", "usr/bin/awk", "usr/bin/tar"),
      isStaticPie("usr/bin/*"),
      builtByAnvilCc(),
      noBuildPaths(),
    ],
  });
}

export const buildRoot = rootOf("build-root", [bash, bison, flex, gawk, m4, make]);
