/** The key and certificate of ANVIL-DB's servers are made by this: there is no openssl program in the Monolith. */
import { builtByAnvilCc, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, tidyOutput } from "../src/recipe/style.ts";
import { openssl } from "./openssl.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

export const dbCertificate = recipe({
  name: "db-certificate",
  licence: "Apache-2.0",
  files: ["native/db-certificate"],
  seed: seedBase,
  tools: [anvilCc],
  link: [openssl],
  script: (versions) =>
    [
      anvilCcEnvironment(versions),
      "cd /files/native/db-certificate\n",
      "mkdir -p /out/usr/libexec/db\n",
      "$CC $CPPFLAGS -D_GNU_SOURCE -std=c11 -Wall -Wextra -Werror $CFLAGS $LDFLAGS -o /out/usr/libexec/db/certificate main.c -lcrypto\n",
      tidyOutput(),
    ].join(""),
  proves: [
    isStaticPie("usr/libexec/db/certificate"),
    builtByAnvilCc(),
    noBuildPaths(),
    runs("usr/libexec/db/certificate", ["/tmp/key", "/tmp/certificate", "anvilos"], /^$/),
  ],
});
