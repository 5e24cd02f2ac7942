/**
 * PostgreSQL's own tests against the static server: regression, isolation, and those of the extensions that are linked
 * in. Tests that are known to fail are named here with the reason; any other that fails, fails the recipe.
 */
import { assume } from "../../src/recipe/assumption.ts";
import { contains } from "../../src/recipe/proof.ts";
import { recipe, source, type Recipe, type Versions } from "../../src/recipe/recipe.ts";
import { anvilCcEnvironment } from "../../src/recipe/style.ts";
import { seedBase } from "../seed.ts";
import { anvilCc } from "../toolchain.ts";
import { contrib, postgresBuild } from "./build.ts";
import { pgvector } from "./pgvector.ts";
import { postgres, server, stringFlags } from "./postgres.ts";
import { witness } from "./witness.ts";

/** The server with the modules that upstream's tests load, and an extension of our own that uses every hook. */
const tested = server({ name: "postgres-tested", extensions: [pgvector, witness], folders: ["tests/lib"] });

// for Blowfish, CAST5 and DES, which our libcrypto does not have, upstream has second answers, of a libcrypto that keeps
// them for itself; for 3DES it has none
const known: Readonly<Record<string, string>> = { "3des": "no cipher of that name in our libcrypto" };

/** What pg_regress says, in the lines of sed and grep: the name of a test that failed, and the sum at the end. */
interface Saying {
  readonly failed: string;
  readonly sum: string;
  readonly passed: RegExp;
  /** Stands in the source of such a pg_regress. */
  readonly source: string;
}
const plain: Saying = {
  failed: "^\\(test\\|  *\\) *\\([a-z0-9_-]*\\) *\\.\\.\\. FAILED.*/\\2",
  sum: "^ *All [0-9]* tests passed\\|^ *[0-9]* of [0-9]* tests failed",
  passed: /^ *All [0-9]+ tests passed/,
  source: " All %d tests passed. ",
};
/** TAP (https://testanything.org): "not ok 3     + char   12 ms", "# All 213 tests passed.". */
const tap: Saying = {
  failed: "^not ok  *[0-9]* *[-+] *\\([A-Za-z0-9_-]*\\).*/\\1",
  sum: "^# All [0-9]* tests passed\\|^# [0-9]* of [0-9]* tests failed",
  passed: /^# All [0-9]+ tests passed/,
  source: "All %d tests passed.",
};
const saying = (versions: Versions): Saying => (versions.atLeast("postgresql", "16") ? tap : plain);

const prepare = `\
cp -r /in/postgres-build/tests/. .
chmod -R u+w .
bin=/in/postgres/usr/bin
options="--bindir=$bin --dlpath=/in/postgres/usr/lib/postgresql --encoding=UTF8 --no-locale"
`;
const suite = ({ failed, sum }: Saying): string => `\
# suite NAME COMMAND…: runs it; what it says goes into the output, what differs into the log
suite() {
  local name=$1
  shift
  "$@" > said || true
  sed 's/  *[0-9]* ms$//' said | tee -a /out/$name.txt
  sed -n 's/${failed}/p' said >> /build/failed
  find . -name regression.diffs -exec cat {} ';' -delete
  grep -q '${sum}' said
}
: > failed
`;
const judge = `\
sort -u failed | comm -23 - <(printf '%s\\n' ${Object.keys(known).join(" ")} | sort) > unknown
if [ -s unknown ]; then
  echo "these failed and are not known to fail: $(tr '\\n' ' ' < unknown)" >&2
  exit 1
fi
`;

/** Shell text in which `suite NAME COMMAND…` runs a command that reports as pg_regress does; fails for unknown failures. */
export const judged = (versions: Versions, script: string): string => `${suite(saying(versions))}${script}${judge}`;

interface Needs {
  readonly components?: readonly string[];
  readonly files?: readonly string[];
}

function tests(name: string, script: string, { components = [], files = [] }: Needs = {}): Recipe {
  return recipe({
    name: `postgres-${name}`,
    licence: "PostgreSQL",
    source: components.map(source),
    files,
    seed: seedBase,
    inputs: [postgresBuild, tested],
    script: (versions) => `${prepare}${judged(versions, script)}`,
    assumes: (versions) => [
      assume("postgresql").mention(["src/test/regress/pg_regress.c"], saying(versions).source),
      ...components.map((component) => assume(component).paths("test/sql/*.sql", "test/expected/*.out")),
    ],
    proves: (versions) => [contains(`${name}.txt`, saying(versions).passed)],
  });
}

export const regress = tests(
  "regress",
  `\
cd regress
suite regress ../pg_regress $options --temp-instance=/build/instance --schedule=parallel_schedule --max-concurrent-tests=20
cd ..
`,
);

export const isolation = tests(
  "isolation",
  `\
cd isolation
suite isolation ../pg_isolation_regress $options --temp-instance=/build/instance --schedule=isolation_schedule
cd ..
`,
);

/** The lists of tests are in the makefiles; upstream runs each folder against a server of its own. */
const extensionTests = tests(
  "extensions",
  `\
list() { sed -e ':a' -e '/\\\\$/{N;s/\\\\\\n//;ba' -e '}' $1/Makefile | sed -n 's/^REGRESS *= *//p' | sed 's/\\$([A-Z_]*)//g'; }
$bin/initdb -D instance --encoding=UTF8 --no-locale -U "$(id -un 2> /dev/null || echo anvil)" -A trust > /dev/null
echo "shared_preload_libraries = 'pg_stat_statements, witness'" >> instance/postgresql.conf
echo "max_prepared_transactions = 4" >> instance/postgresql.conf
# else EXPLAIN shows what pg_stat_statements counts by
echo "compute_query_id = regress" >> instance/postgresql.conf
start() { $bin/pg_ctl -D instance -o "-k /tmp -c listen_addresses=''" -l server.log -w start > /dev/null; }
start
mkdir vector
cp -r /build/pgvector/test/sql /build/pgvector/test/expected vector
cp -r /files/native/postgres-witness witness
# once more as on a processor that has no more than every x86-64
cp -r vector vector-1
for folder in ${contrib.map((name) => `contrib/${name}`).join(" ")} vector witness vector-1; do
  more=
  case $folder in
    # some have no tests, or only such as need more than a server
    contrib/*) names=$([ ! -d $folder ] || list $folder) ;;
    *) names=$(cd $folder/sql && ls | sed 's/\\.sql$//') ;;
  esac
  case $folder in
    # as its makefile has it
    vector*) more=--load-extension=vector ;;
  esac
  if [ $folder = vector-1 ]; then
    $bin/pg_ctl -D instance -m fast stop > /dev/null
    ANVIL_DB_LEVEL=1 start
  fi
  [ -n "$names" ] || continue
  echo "# $folder"
  (cd $folder && PGHOST=/tmp suite extensions /build/pg_regress --bindir=$bin --dlpath=/in/postgres/usr/lib/postgresql \\
    --dbname=contrib_regression --host=/tmp $more $names)
done
$bin/pg_ctl -D instance -m fast stop > /dev/null
`,
  { components: ["pgvector"], files: ["native/postgres-witness"] },
);

/** The server's own copies and comparisons of memory. Its proof is that the tests hold. */
const stringsTest = recipe({
  name: "postgres-strings-test",
  licence: "Apache-2.0",
  files: ["native/postgres/strings.c", "native/postgres-test"],
  seed: seedBase,
  tools: [anvilCc],
  script: (versions) => `\
${anvilCcEnvironment(versions)}
$CC $CFLAGS ${stringFlags} -Wall -Wextra -Werror $LDFLAGS -o strings-test /files/native/postgres/strings.c /files/native/postgres-test/*.c
./strings-test | tee said
install -D -m 644 -t /out said
`,
  proves: [contains("said", /^all tests hold$/)],
});

/** psql at a terminal, as a person uses it. */
const terminalTest = recipe({
  name: "postgres-terminal-test",
  licence: "Apache-2.0",
  files: ["native/terminal-test"],
  seed: seedBase,
  tools: [anvilCc],
  inputs: [postgres],
  script: (versions) => `\
${anvilCcEnvironment(versions)}
$CC $CFLAGS -D_GNU_SOURCE -Wall -Wextra -Werror $LDFLAGS -o terminal /files/native/terminal-test/terminal.c
export PATH=/in/postgres/usr/bin:$PATH PGHOST=/tmp PGUSER=postgres HOME=/build/home PAGER=cat
mkdir home
initdb -D instance --encoding=UTF8 --no-locale -U postgres -A trust > /dev/null
pg_ctl -D instance -o "-k /tmp -c listen_addresses=''" -l server.log -w start > /dev/null
: > said
# session NAME TERM SIZE: psql; what is typed comes from the standard input
session() {
  TERM=$2 LC_ALL=C.UTF-8 ./terminal $3 psql -X
  echo "holds: $1" | tee -a said
}

session "tab completes a keyword and the name of a table" xterm-256color 24x80 << 'END'
await postgres=#\\x20
edit create table orders_of_today (n int);\\r
await CREATE TABLE
await postgres=#\\x20
edit sel\\t 6 * 7 as answer;\\r
await 42
await postgres=#\\x20
edit select count(*) + 1000 from orders_of\\t;\\r
await 1000
await postgres=#\\x20
edit \\\\q\\r
end 0
never ERROR
END
session "the history is there in the next session, and arrows go through it" vt100 24x80 << 'END'
await postgres=#\\x20
edit \\e[A\\e[A\\r
await 1000
await postgres=#\\x20
edit \\e[A\\eOA\\eOA\\eOA\\eOA\\e[B\\r
await 42
await postgres=#\\x20
edit \\\\q\\r
end 0
never ERROR
END
session "a line is edited in its middle, and the terminal follows" linux 24x40 << 'END'
await postgres=#\\x20
edit elect 149;\\x01s\\e[F\\e[D\\e[D\\x7f2\\e[C\\e[3~4;\\r
await 1294
await postgres=#\\x20
edit select length('\\xc3\\xa4\\xe2\\x82\\xac\\e[D\\x7f\\e[C\\xc3\\xb6') * 11;\\r
await 22
await postgres=#\\x20
edit select 'of more than one line of the terminal', 70 + 7;\\x01\\e[1;5C \\x05\\e[D7\\r
await 147
await postgres=#\\x20
size 30x120
type \\\\! stty size\\r
await 30 120
await postgres=#\\x20
edit \\x04
end 0
never ERROR
END
session "Ctrl-C drops the line, and ends a query" xterm 24x80 << 'END'
await postgres=#\\x20
edit select 'dropped'\\x03
await postgres=#\\x20
edit select 'k' || 'ept';\\r
await kept
await postgres=#\\x20
edit do $$ begin raise notice 'asleep %', 6 * 7; perform pg_sleep(600); end $$;\\r
await asleep 42
type \\x03
await canceling statement due to user request
await postgres=#\\x20
edit \\x04
end 0
never syntax error
END
session "a dumb terminal gets no sequences" dumb 24x80 << 'END'
await postgres=#\\x20
edit select 40 + 3\\x7f2;\\r
await 42
await postgres=#\\x20
edit \\\\q\\r
end 0
never \\e
END
cp home/.psql_history before
echo "select 6 * 7;" | psql -X -A -t | grep -qx 42
cmp before home/.psql_history
echo "holds: without a terminal there is no history" | tee -a said
pg_ctl -D instance -m fast stop > /dev/null
install -D -m 644 -t /out said
`,
  proves: [contains("said", /^holds: without a terminal/)],
});

export const postgresTests: readonly Recipe[] = [regress, isolation, extensionTests, stringsTest, terminalTest];
