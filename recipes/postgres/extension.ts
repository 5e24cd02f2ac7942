/**
 * What is linked into the server beside upstream's own modules. An extension is compiled against `postgres-build` by its
 * own makefile, as for any other server; its modules become relocatable objects (system/postgres/cc), and `postgres.ts`
 * links them. docs/extensions.md shows how to add one.
 */
import { exists } from "../../src/recipe/proof.ts";
import { recipe, source, type Output, type Recipe } from "../../src/recipe/recipe.ts";
import { anvilCcEnvironment } from "../../src/recipe/style.ts";
import { openssl } from "../openssl.ts";
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
  /** Libraries that it is compiled and linked with. */
  readonly link?: readonly Output[];
}

export interface Extension {
  readonly recipe: Recipe;
  readonly link: readonly Output[];
}

export function extension(fields: ExtensionFields): Extension {
  const { name, modules, licence, from, folder = ".", before = "", make = [], link = [] } = fields;
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
    inputs: [openssl, postgresBuild],
    script: [
      anvilCcEnvironment(postgresFlags),
      postgresCompiler,
      ...own.map((files) => `cp -r /files/${files} ${place}\n`),
      `cd ${place}/${folder}\n`,
      before,
      // what its headers say of themselves in messages must not tell where they were
      `pgxs() { make COPT=-ffile-prefix-map=/in/postgres-build/usr/include=. PG_CONFIG=/in/postgres-build/usr/bin/pg_config ${make.map((word) => `'${word}'`).join(" ")} "$@"; }\n`,
      "pgxs all\n",
      // pg_config gives the places where they are: below /in
      "pgxs DESTDIR=/build/installed install\n",
      "mkdir -p /out/usr/lib/postgresql /out/usr/share/postgresql\n",
      "cp -r /build/installed/in/postgres-build/usr/share/postgresql/extension /out/usr/share/postgresql\n",
      ...modules.map(
        (module) => `cp /build/installed/in/postgres-build/usr/lib/postgresql/${module}.so /out/usr/lib/postgresql\n`,
      ),
    ].join(""),
    proves: [
      exists("usr/share/postgresql/extension/*.control", ...modules.map((each) => `usr/lib/postgresql/${each}.so`)),
    ],
  });
  return { recipe: built, link };
}
