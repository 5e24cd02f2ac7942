/**
 * ANVIL-DB: PostgreSQL as one static program, with everything that others load at run time linked in, and a second
 * program for all that stands beside it.
 */
import {
  atMost,
  builtByAnvilCc,
  contains,
  exists,
  isStaticPie,
  lacks,
  noBuildPaths,
  runs,
} from "../../src/recipe/proof.ts";
import { folderOf, recipe, type Recipe, type Versions } from "../../src/recipe/recipe.ts";
import { anvilCcEnvironment, tidyOutput } from "../../src/recipe/style.ts";
import { libedit } from "../libedit.ts";
import { opensslSmall } from "../openssl.ts";
import { seedBase } from "../seed.ts";
import { anvilCc } from "../toolchain.ts";
import { postgresBuild, tools } from "./build.ts";
import type { Extension } from "./extension.ts";
import { mimalloc } from "./mimalloc.ts";
import { pgvector } from "./pgvector.ts";

/** What would be in a program that was linked with GNU readline, zlib, lz4, zstd, ICU, LDAP, GSSAPI, PAM, LLVM, Perl, Python or Tcl. */
const ABSENT =
  /\/\.?inputrc|readline_callback_read_char|(in|de)flate 1\.[0-9]|LZ4F_|ZSTD_(create|compress)|ucol_open|ldap_(initialize|simple_bind)|gss_(init|accept)_sec_context|pam_authenticate|LLVM[A-Z]|perl_(alloc|construct)|Py_Initialize|Tcl_CreateInterp/;

/** The compiler must not make calls of these functions out of what they do themselves; they run before the stack is guarded. */
export const stringFlags = "-fno-builtin -fno-tree-loop-distribute-patterns -fno-stack-protector";

/** What later versions add to the server, in bytes, measured on Debian's; and to libcrypto and libssl. */
const growth = { postgresql: { 16: 650_000, 17: 1_300_000, 18: 1_750_000 }, openssl: { "3.5": 750_000 } };

/** 13.25 MB with PostgreSQL 15 and OpenSSL 3.0, of which 12.7 are taken. */
function sizeLimit(versions: Versions): number {
  const added = Object.entries(growth).map(([component, sizes]) =>
    Math.max(0, ...Object.entries(sizes).map(([from, bytes]) => (versions.atLeast(component, from) ? bytes : 0))),
  );
  return added.reduce((sum, bytes) => sum + bytes, 13_250_000);
}

export interface ServerFields {
  readonly name: string;
  readonly extensions: readonly Extension[];
  /** More modules: folders of `postgres-build` that hold them. */
  readonly folders?: readonly string[];
}

/** A server with upstream's modules and these. */
export function server({ name, extensions, folders = [] }: ServerFields): Recipe {
  const built = extensions.map((each) => each.recipe);
  const trees = ["/in/postgres-build", ...built.map((each) => `/in/${folderOf(each)}`)];
  const libraries = [...new Set(extensions.flatMap(({ link }) => link))];
  const modules = [
    ...trees.map((tree) => `${tree}/usr/lib/postgresql`),
    ...folders.map((each) => `/in/postgres-build/${each}`),
  ];
  return recipe({
    name,
    folder: "postgres",
    licence: [
      ...new Set(["PostgreSQL", libedit.licence, mimalloc.licence, ...built.map(({ licence }) => licence)]),
    ].join(" AND "),
    files: ["native/postgres", "system/postgres/modules"],
    seed: seedBase,
    tools: [anvilCc],
    link: [opensslSmall, libedit, ...libraries],
    inputs: [postgresBuild, mimalloc, ...built],
    script: (versions) => `\
${anvilCcEnvironment(versions)}
objects=/in/postgres-build/objects
mkdir -p modules /out/usr/bin /out/usr/lib/postgresql /out/usr/share
cd modules
/files/system/postgres/modules ${modules.join(" ")}
$CC $CFLAGS -I/files/native/postgres -c modules.c /files/native/postgres/loader.c
$CC $CFLAGS ${stringFlags} -c /files/native/postgres/strings.c
cd ..
$CC $CFLAGS $LDFLAGS -o /out/usr/bin/postgres $objects/postgres.o modules/*.o $objects/libpq.o \
  /in/mimalloc/objects/mimalloc.o ${libraries.map((each) => `/deps/${folderOf(each)}/usr/lib/*.a `).join("")}-lssl -lcrypto -lm

$CC $CFLAGS '-DTOOLS=${tools.map((tool) => `TOOL(${tool})`).join(" ")}' -c /files/native/postgres/tools.c
$CC $CFLAGS $LDFLAGS -o /out/usr/bin/pg-tools tools.o $objects/tools/*.o \\
  $objects/lib/libpgfeutils.a $objects/lib/libpq.a $objects/lib/libpgcommon.a $objects/lib/libpgport.a \\
  -lssl -lcrypto -lm -ledit -ltermcap
for tool in ${tools.join(" ")}; do ln -s pg-tools /out/usr/bin/$tool; done

for tree in ${trees.join(" ")}; do
  cp -r --no-preserve=mode $tree/usr/share/postgresql /out/usr/share
done
# the server looks for a module's file before it loads it
for module in modules/*.o; do
  name=\${module##*/}
  case $name in loader.o | modules.o | strings.o | *@*) continue ;; esac
  echo "This module is linked into the server." > /out/usr/lib/postgresql/\${name%.o}.so
done
${tidyOutput()}`,
    proves: (versions) => [
      isStaticPie("usr/bin/postgres", "usr/bin/pg-tools"),
      builtByAnvilCc(),
      noBuildPaths(),
      exists("usr/share/postgresql/postgres.bki", "usr/share/postgresql/extension/plpgsql.control"),
      runs("usr/bin/postgres", "--version", /^postgres \(PostgreSQL\) /),
      runs("usr/bin/psql", "--version", /^psql \(PostgreSQL\) /),
      contains("usr/share/postgresql/extension/vector.control", /^module_pathname = /),
      lacks("usr/bin/p*", ABSENT),
      lacks("usr/bin/postgres", /\/\.editrc/),
      atMost("usr/bin/postgres", sizeLimit(versions)),
    ],
  });
}

export const postgres = server({ name: "postgres", extensions: [pgvector] });
