/** anvil-exec: runs a command for a host, with its standard streams over one line. docs/exec.md. */
import { builtByAnvilCc, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, tidyOutput } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

export const anvilExec = recipe({
  name: "anvil-exec",
  licence: "Apache-2.0",
  files: ["native/exec"],
  seed: seedBase,
  tools: [anvilCc],
  script: (versions) => `\
${anvilCcEnvironment(versions)}
cd /files/native/exec
mkdir -p /out/usr/sbin
$CC $CPPFLAGS -D_GNU_SOURCE -std=c11 -Wall -Wextra -Werror $CFLAGS $LDFLAGS -o /out/usr/sbin/anvil-exec main.c
${tidyOutput()}`,
  proves: [
    isStaticPie("usr/sbin/anvil-exec"),
    builtByAnvilCc(),
    noBuildPaths(),
    runs("usr/sbin/anvil-exec", "--help", /^usage: anvil-exec/),
  ],
});
