/** What stands between a cluster of ANVIL-DB and everything else: its server's namespaces, and what root does with its files. */
import { atMost, builtByAnvilCc, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, tidyOutput } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

export const dbConfine = recipe({
  name: "db-confine",
  licence: "Apache-2.0",
  files: ["native/db-confine"],
  seed: seedBase,
  tools: [anvilCc],
  script: (versions) =>
    [
      anvilCcEnvironment(versions),
      "cd /files/native/db-confine\n",
      "mkdir -p /out/usr/libexec/db\n",
      "$CC $CPPFLAGS -D_GNU_SOURCE -std=c11 -Wall -Wextra -Werror $CFLAGS $LDFLAGS -o /out/usr/libexec/db/confine *.c\n",
      tidyOutput(),
    ].join(""),
  proves: [
    isStaticPie("usr/libexec/db/confine"),
    builtByAnvilCc(),
    noBuildPaths(),
    atMost("usr/libexec/db/confine", 128 * 1024),
    runs("usr/libexec/db/confine", "--help", /^usage: confine run CLUSTER/),
  ],
});
