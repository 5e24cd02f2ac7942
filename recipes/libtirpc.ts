/** Sun RPC's XDR, in which OpenZFS encodes its configuration. musl has no RPC of its own. */
import { assume } from "../src/recipe/assumption.ts";
import { builtByAnvilCc, exists, noBuildPaths } from "../src/recipe/proof.ts";
import { recipe, source } from "../src/recipe/recipe.ts";
import { configureMake } from "../src/recipe/style.ts";
import { seedBase } from "./seed.ts";
import { anvilCc } from "./toolchain.ts";

export const libtirpc = recipe({
  name: "libtirpc",
  licence: "BSD-3-Clause",
  source: source("libtirpc"),
  files: ["native/musl-compat/sys/queue.h"],
  seed: seedBase,
  tools: [anvilCc],
  script: configureMake({
    component: "libtirpc",
    flags: { cppflags: ["-I/files/native/musl-compat"] },
    configure: ["--disable-gssapi"],
    // /etc/netconfig: nothing in AnvilOS makes RPC calls, only the encoding is used
    after: "rm -r /out/etc\n",
  }),
  assumes: [
    assume("libtirpc").mention(["doc/Makefile.am", "Makefile.am"], "netconfig"),
    assume("libtirpc").paths("doc/netconfig"),
  ],
  proves: [
    exists("usr/lib/libtirpc.a", "usr/include/tirpc/rpc/xdr.h", "usr/lib/pkgconfig/libtirpc.pc"),
    builtByAnvilCc(),
    noBuildPaths(),
  ],
});
