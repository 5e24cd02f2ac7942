/**
 * PostgreSQL compiled, but not yet linked: server, modules and the programs beside them, each one relocatable object.
 * `postgres.ts` links them, with extensions that are compiled against this (`extension.ts`). Also what an extension is
 * compiled with (headers, pgxs, pg_config), and upstream's tests.
 */
import { assume, type Assumption } from "../../src/recipe/assumption.ts";
import { builtByAnvilCc, exists, lacks, runs } from "../../src/recipe/proof.ts";
import { recipe, source, type Versions } from "../../src/recipe/recipe.ts";
import { anvilCcEnvironment, command } from "../../src/recipe/style.ts";
import { libedit } from "../libedit.ts";
import { opensslSmall } from "../openssl.ts";
import { seedBase } from "../seed.ts";
import { anvilCc } from "../toolchain.ts";

/** Programs beside the server, and their folders below src/bin. */
const programs = {
  initdb: ["initdb"],
  pg_amcheck: ["pg_amcheck"],
  pg_basebackup: ["pg_basebackup", "pg_receivewal"],
  pg_checksums: ["pg_checksums"],
  pg_controldata: ["pg_controldata"],
  pg_ctl: ["pg_ctl"],
  pg_dump: ["pg_dump", "pg_dumpall", "pg_restore"],
  pg_resetwal: ["pg_resetwal"],
  pg_rewind: ["pg_rewind"],
  pg_waldump: ["pg_waldump"],
  pgbench: ["pgbench"],
  psql: ["psql"],
  scripts: ["createdb", "createuser", "dropdb", "dropuser", "pg_isready", "reindexdb", "vacuumdb"],
};
export const tools = Object.values(programs).flat();

/** Extensions of upstream that are in every server. */
export const contrib = [
  ...[
    "amcheck",
    "auto_explain",
    "bloom",
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "earthdistance",
    "fuzzystrmatch",
  ],
  ...["hstore", "intarray", "ltree", "pageinspect", "pg_buffercache", "pg_prewarm", "pg_stat_statements", "pg_trgm"],
  ...["pg_visibility", "pgcrypto", "pgrowlocks", "pgstattuple", "postgres_fdw", "tablefunc", "tsm_system_rows"],
  ...["tsm_system_time", "unaccent"],
];

const without = ["gssapi", "icu", "ldap", "llvm", "lz4", "pam", "perl", "python", "systemd", "tcl", "zlib", "zstd"];

/**
 * Puts system/postgres/cc in the place of the compiler. Libraries are found without flags: PostgreSQL keeps those that it
 * was configured with in the server.
 */
export const postgresCompiler = `\
mkdir -p /build/bin
cp /files/system/postgres/cc "/build/bin/$CC"
export ANVIL_CC="/tools/anvil-cc/usr/bin/$CC" ANVIL_LINK="-L/in/openssl/usr/lib -L/in/libedit/usr/lib"
export CPATH=/in/openssl/usr/include:/in/libedit/usr/include PATH=/build/bin:$PATH
`;

/** `-fvisibility`: see system/postgres/cc. */
export const postgresFlags = { cflags: ["-fvisibility=hidden"] };

/**
 * Folders of the server that are compiled for size: what changes the schema, describes, replicates or starts. `except` what
 * every query or every row passes.
 */
const cold: Readonly<Record<string, { readonly except?: readonly string[]; readonly only?: readonly string[] }>> = {
  "access/rmgrdesc": {},
  bootstrap: {},
  catalog: { except: ["aclchk", "dependency", "index", "indexing", "namespace", "storage"] },
  commands: {
    except: ["analyze", "copy", "copyfrom", "copyfromparse", "copyto", "prepare", "sequence", "trigger", "vacuum"],
  },
  foreign: {},
  nodes: { only: ["outfuncs", "print", "readfuncs"] },
  partitioning: {},
  postmaster: {},
  replication: {},
  snowball: {},
  "utils/adt": { only: ["acl", "dbsize", "genfile", "lockfuncs", "pgstatfuncs", "regproc", "ruleutils"] },
  "utils/init": {},
  "utils/misc": {},
};

const parts = [
  ...["backend", "backend/utils/mb/conversion_procs", "backend/snowball", "backend/replication/libpqwalreceiver"],
  ...["backend/replication/pgoutput", "pl/plpgsql/src", "include", "makefiles", "timezone"],
].map((folder) => `src/${folder}`);

/** Of the server's link: a dynamic loader would need its symbols. Called otherwise by configure of some release after 15. */
const exports = (versions: Versions): string =>
  versions.atLeast("postgresql", "16") ? "export_dynamic= LDFLAGS_EX_BE=" : "export_dynamic=";

const pg = assume("postgresql");
const assumptions = (versions: Versions): readonly Assumption[] => [
  pg.paths(...Object.keys(programs).map((folder) => `src/bin/${folder}/Makefile`)),
  pg.paths(...[...contrib, "spi"].map((name) => `contrib/${name}/Makefile`)),
  pg.paths(...parts.map((folder) => `${folder}/Makefile`)),
  pg.paths(...Object.keys(cold).map((folder) => `src/backend/${folder}/Makefile`)),
  // compiled one by one before the rest of their folder
  pg.paths(
    ...Object.entries(cold).flatMap(([folder, { except = [], only = [] }]) =>
      [...except, ...only].map((name) => `src/backend/${folder}/${name}.c`),
    ),
  ),
  pg.targets("src/backend/Makefile", "generated-headers"),
  pg.mention(["src/Makefile.shlib", "src/interfaces/libpq/Makefile"], "all-static-lib"),
  pg.mention(["src/Makefile"], "install-local"),
  pg.mention(["config/Makefile"], "install"),
  pg.success(
    "what exports the server's symbols has a name that is known",
    exports(versions)
      .split(" ")
      .map((name) => `grep -q '^${name.replace("=", "")} *=' src/makefiles/Makefile.linux src/Makefile.global.in`)
      .join(" || "),
  ),
  pg.paths(
    "src/test/regress/parallel_schedule",
    "src/test/isolation/isolation_schedule",
    "src/test/regress/pg_regress.c",
  ),
  pg.paths("src/test/isolation/isolationtester.c", "src/test/isolation/isolation_main.c", "contrib/spi/autoinc.c"),
  ...Object.entries(programs).map(([folder, names]) =>
    pg.mention([`src/bin/${folder}/Makefile`], names.at(-1) ?? folder),
  ),
];

export const postgresBuild = recipe({
  name: "postgres-build",
  licence: "PostgreSQL",
  source: source("postgresql"),
  files: ["native/postgres/absent-ciphers.h", "system/postgres/cc"],
  seed: seedBase,
  tools: [anvilCc],
  inputs: [libedit, opensslSmall],
  script: (versions) =>
    [
      anvilCcEnvironment(versions, postgresFlags),
      postgresCompiler,
      "cd /build/postgresql\n",
      command("./configure", [
        "--build=$ANVIL_TARGET",
        "--host=$ANVIL_TARGET",
        "--prefix=/usr",
        "--sysconfdir=/etc",
        "--disable-rpath",
        "--with-ssl=openssl",
        "--with-libedit-preferred",
        ...without.map((name) => `--without-${name}`),
      ]),
      `quiet() { make -s ${exports(versions)} "$@"; }\n`,
      "quiet -C src/backend generated-headers\n",
      "for folder in common port timezone; do quiet -C src/$folder; done\n",
      ...Object.entries(cold).flatMap(([folder, { except = [], only = [] }]) => [
        ...(except.length === 0
          ? []
          : [`quiet -C src/backend/${folder} ${except.map((name) => `${name}.o`).join(" ")}\n`]),
        `quiet -C src/backend/${folder} COPT=-Os ${only.map((name) => `${name}.o`).join(" ")}\n`,
      ]),
      "quiet -C src/interfaces/libpq all-static-lib\n",
      "for folder in fe_utils bin/pg_config test/regress test/isolation; do ANVIL_MERGE='' quiet -C src/$folder; done\n",
      "export ANVIL_MERGE=yes\n",
      `for folder in ${[...parts, ...Object.keys(programs).map((name) => `src/bin/${name}`)].join(" ")}; do\n`,
      "  quiet -C $folder all\n",
      "done\n",
      `for folder in ${[...contrib, "spi"].map((name) => `contrib/${name}`).join(" ")}; do\n`,
      '  quiet -C $folder COPT="-include /files/native/postgres/absent-ciphers.h" all\n',
      "done\n",
      `for folder in ${parts.join(" ")} src/bin/initdb src/bin/psql src/bin/pg_config \\\n`,
      `  ${contrib.map((name) => `contrib/${name}`).join(" ")}; do\n`,
      "  quiet -C $folder DESTDIR=/out install\n",
      "done\n",
      "quiet -C src DESTDIR=/out install-local\n",
      "quiet -C config DESTDIR=/out install\n",
      // libpq for modules, which must not meet the server's own copies of what it is made of
      `
mkdir -p /out/objects/tools /out/objects/lib
"$LD" -r -o /out/objects/libpq.o --whole-archive src/interfaces/libpq/libpq.a --no-whole-archive \\
  --start-group src/common/libpgcommon_shlib.a src/port/libpgport_shlib.a --end-group
"$OBJCOPY" --wildcard --keep-global-symbol='PQ*' --keep-global-symbol='*PQExpBuffer*' /out/objects/libpq.o
mv /out/usr/bin/postgres /out/objects/postgres.o
`,
      ...Object.entries(programs).flatMap(([folder, names]) =>
        names.map((name) => `cp src/bin/${folder}/${name} /out/objects/tools/${name}.o\n`),
      ),
      `
for tool in /out/objects/tools/*.o; do
  name=\${tool##*/}
  name=\${name%.o}_main
  "$OBJCOPY" --redefine-sym main=$name --keep-global-symbol=$name $tool
done
cp src/fe_utils/libpgfeutils.a src/interfaces/libpq/libpq.a src/common/libpgcommon.a src/port/libpgport.a /out/objects/lib
find /out/usr/bin ! -type d ! -name pg_config -delete

mkdir -p /out/tests/lib /out/tests/contrib
cp src/test/regress/pg_regress src/test/isolation/isolationtester src/test/isolation/pg_isolation_regress /out/tests
cp src/test/regress/regress.so contrib/spi/autoinc.so contrib/spi/refint.so /out/tests/lib
for suite in regress isolation; do
  mkdir /out/tests/$suite
  (cd src/test/$suite && find . -maxdepth 1 -name '*_schedule' -o -maxdepth 1 -type d ! -name . ) |
    (cd src/test/$suite && xargs cp -r -t /out/tests/$suite)
done
for folder in ${contrib.join(" ")}; do
  [ -d contrib/$folder/sql ] || continue
  mkdir /out/tests/contrib/$folder
  (cd contrib/$folder && cp -r $(ls -d sql expected data specs *.conf 2> /dev/null) /out/tests/contrib/$folder)
  cp contrib/$folder/Makefile /out/tests/contrib/$folder
done
`,
    ].join(""),
  assumes: assumptions,
  proves: [
    exists("objects/postgres.o", "usr/lib/postgresql/plpgsql.so", "usr/lib/postgresql/pgxs/src/makefiles/pgxs.mk"),
    exists("usr/share/postgresql/postgres.bki", "usr/share/postgresql/timezone/UTC", "tests/lib/regress.so"),
    // the line editor is psql's only
    lacks("objects/*.o", /rl_attempted_completion_function|add_history|tgetent/),
    builtByAnvilCc("objects/*.o", "objects/lib/*.a", "usr/lib/postgresql/*.so"),
    runs("usr/bin/pg_config", "--version", /^PostgreSQL /),
  ],
});
