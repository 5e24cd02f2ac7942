/**
 * Tables by columns, of channels that have the source of Hydra columnar, and the server with it. It has hooks for the
 * planner and utility statements: `shared_preload_libraries = 'columnar'`.
 */
import { assume } from "../../src/recipe/assumption.ts";
import { builtByAnvilCc, exists, noBuildPaths } from "../../src/recipe/proof.ts";
import { recipe, source } from "../../src/recipe/recipe.ts";
import { anvilCcEnvironment, command } from "../../src/recipe/style.ts";
import { seedBase } from "../seed.ts";
import { anvilCc } from "../toolchain.ts";
import { extension } from "./extension.ts";
import { pgvector } from "./pgvector.ts";
import { server } from "./postgres.ts";

/** What it compresses its stripes with. */
const compression = recipe({
  name: "columnar-compression",
  licence: "BSD-2-Clause AND BSD-3-Clause",
  source: [source("lz4"), source("zstd")],
  seed: seedBase,
  tools: [anvilCc],
  script: (versions) =>
    [
      anvilCcEnvironment(versions),
      command("make", ["-C lz4/lib", "liblz4.a"]),
      command("make", ["-C zstd/lib", "libzstd.a"]),
      "install -D -m 644 -t /out/usr/lib lz4/lib/liblz4.a zstd/lib/libzstd.a\n",
      "install -D -m 644 -t /out/usr/include lz4/lib/lz4.h zstd/lib/zstd.h zstd/lib/zstd_errors.h\n",
    ].join(""),
  assumes: [
    assume("lz4").mention(["lib/Makefile"], "liblz4.a"),
    assume("zstd").mention(["lib/Makefile"], "libzstd.a"),
    assume("lz4").paths("lib/lz4.h"),
  ],
  proves: [exists("usr/lib/liblz4.a", "usr/lib/libzstd.a", "usr/include/*.h"), builtByAnvilCc(), noBuildPaths()],
});

export const columnar = extension({
  name: "columnar",
  modules: ["columnar"],
  // safestringlib is MIT, lz4 and zstd are BSD
  licence: "AGPL-3.0-only AND MIT AND BSD-2-Clause AND BSD-3-Clause",
  from: { component: "hydra-columnar" },
  folder: "columnar",
  before: [
    // its makefile makes SQL files with plain cpp, and installs a header into a folder that it does not make
    'ln -s "$(command -v "$ANVIL_TARGET-cpp")" /build/bin/cpp\n',
    'mkdir -p "/build/installed$(/in/postgres-build/usr/bin/pg_config --includedir-server)"\n',
    command("PG_CONFIG=/in/postgres-build/usr/bin/pg_config ./configure", [
      "--build=$ANVIL_TARGET",
      "--host=$ANVIL_TARGET",
      "--without-libcurl",
    ]),
  ].join(""),
  assumes: [
    assume("hydra-columnar").paths(
      "columnar/Makefile",
      "columnar/columnar.control",
      "columnar/src/backend/columnar/Makefile",
    ),
    assume("hydra-columnar").text("columnar/src/backend/columnar/Makefile", "cpp"),
    assume("hydra-columnar").mention(["columnar/Makefile"], "install-headers"),
  ],
  link: [compression],
});

export const postgresColumnar = server({ name: "postgres-columnar", extensions: [pgvector, columnar] });
