/**
 * What is linked into the server beside upstream's own modules. An extension is compiled against `postgres-build` by its
 * own makefile, as for any other server; its modules become relocatable objects (system/postgres/cc), and `postgres.ts`
 * links them. docs/extensions.md shows how to add one.
 */
import type { Assumption } from "../../src/recipe/assumption.ts";
import { exists } from "../../src/recipe/proof.ts";
import { recipe, source, type Output, type Recipe } from "../../src/recipe/recipe.ts";
import { anvilCcEnvironment } from "../../src/recipe/style.ts";
import { opensslSmall } from "../openssl.ts";
import { seedBase } from "../seed.ts";
import { anvilCc } from "../toolchain.ts";
import { postgresBuild, postgresCompiler, postgresFlags } from "./build.ts";

export interface ExtensionFields {
  /** Names of its modules: files `<name>.so` in `$libdir`. */
  readonly modules: readonly [string, ...string[]];
  readonly licence: string;
  /** A component of the channel; or a folder of this project. */
  readonly from: { readonly component: string } | { readonly files: string };
  /** The recipe's name: `pg-<name>`. */
  readonly name: string;
  /** Folder of the makefile in the source. */
  readonly folder?: string;
  /** Shell text that runs before make, in that folder. */
  readonly before?: string;
  /** Variables of its makefile. */
  readonly make?: readonly string[];
  /** Compiled also for these levels of x86-64: the server takes the highest that its processor has. */
  readonly levels?: readonly ("x86-64-v2" | "x86-64-v3" | "x86-64-v4")[];
  /** Libraries that it is compiled and linked with. */
  readonly link?: readonly Output[];
  /** What it takes for granted of its source. */
  readonly assumes?: readonly Assumption[];
}

export interface Extension {
  readonly recipe: Recipe;
  readonly link: readonly Output[];
}

export function extension(fields: ExtensionFields): Extension {
  const {
    name,
    modules,
    licence,
    from,
    folder = ".",
    before = "",
    make = [],
    levels = [],
    link = [],
    assumes = [],
  } = fields;
  const own = "component" in from ? [] : [from.files];
  const place = "component" in from ? `/build/${from.component}` : "/build/own";
  const built = recipe({
    name: `pg-${name}`,
    licence,
    ...("component" in from && { source: source(from.component) }),
    files: ["system/postgres/cc", ...own],
    seed: seedBase,
    tools: [anvilCc],
    link,
    inputs: [opensslSmall, postgresBuild],
    script: (versions) =>
      [
        anvilCcEnvironment(versions, postgresFlags),
        postgresCompiler,
        ...own.map((files) => `cp -r /files/${files} ${place}\n`),
        `cd ${place}/${folder}\n`,
        before,
        // what its headers say of themselves in messages must not tell where they were
        `pgxs() { make COPT="-ffile-prefix-map=/in/postgres-build/usr/include=. $march" PG_CONFIG=/in/postgres-build/usr/bin/pg_config ${make.map((word) => `'${word}'`).join(" ")} "$@"; }\n`,
        `
build() {
  march=\${1:+-march=$1}
  pgxs all
  # pg_config gives the places where they are: below /in
  pgxs DESTDIR=/build/installed install
  mkdir -p /out/usr/lib/postgresql/$1
  for module in ${modules.join(" ")}; do
    cp /build/installed/in/postgres-build/usr/lib/postgresql/$module.so /out/usr/lib/postgresql/$1
  done
}
build ""
mkdir -p /out/usr/share/postgresql
cp -r /build/installed/in/postgres-build/usr/share/postgresql/extension /out/usr/share/postgresql
`,
        ...levels.map((level) => `pgxs clean\nbuild ${level}\n`),
      ].join(""),
    assumes,
    proves: [
      exists(
        "usr/share/postgresql/extension/*.control",
        ...["", ...levels.map((level) => `${level}/`)].flatMap((folder) =>
          modules.map((each) => `usr/lib/postgresql/${folder}${each}.so`),
        ),
      ),
    ],
  });
  return { recipe: built, link };
}
