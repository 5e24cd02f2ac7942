/** SSH: the server, for systems that were forged with the public keys of those who may log in, and the client. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, isStaticPie, noBuildPaths, runs } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { anvilCcEnvironment, command, configure, tidyOutput } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

// "static" is plain -static, which makes no static-PIE: the compiler links that by itself
const off = ["harden", "lastlog", "pam", "pututline", "pututxline", "static", "utmp", "utmpx", "wtmp", "wtmpx", "zlib"];

// One program for all; which one it is, is said by the name by which it is called.
const install = `\
install -D -t /out/usr/bin dropbearmulti
mkdir /out/usr/sbin
ln -s ../bin/dropbearmulti /out/usr/sbin/dropbear
ln -s dropbearmulti /out/usr/bin/dropbearkey
ln -s dropbearmulti /out/usr/bin/ssh
`;

export const dropbear = recipe({
  name: "dropbear",
  licence: "MIT AND BSD-2-Clause",
  source: source("dropbear"),
  files: ["system/ssh/localoptions.h"],
  seed: seedBase,
  tools: [anvilCc],
  script: (versions) =>
    [
      anvilCcEnvironment(versions),
      "cd /build/dropbear\n",
      "cp /files/system/ssh/localoptions.h .\n",
      configure(["--enable-bundled-libtom", ...off.map((name) => `--disable-${name}`)]),
      command("make", ['PROGRAMS="dropbear dbclient dropbearkey"', "MULTI=1"]),
      install,
      tidyOutput(),
    ].join(""),
  assumes: [
    assume("dropbear").mention(["Makefile.in"], "MULTI"),
    assume("dropbear").mention(["Makefile.in"], "dropbearmulti"),
    assume("dropbear").mention(["src/options.h", "options.h"], '"localoptions.h"'),
  ],
  proves: [
    isStaticPie("usr/bin/dropbearmulti"),
    builtByAnvilCc(),
    noBuildPaths(),
    runs("usr/bin/ssh", "-V", /^Dropbear v20/),
  ],
});
