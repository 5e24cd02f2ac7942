/**
 * The body of an ingot: `manifest` and `payload`, made from the trees of other recipes. The host signs it when it is
 * sent. docs/ingots.md describes both files.
 */
import type { Ingot } from "../src/recipe/ingot.ts";
import { allOf } from "../src/recipe/licence.ts";
import { atMost, contains, describeProof, exists } from "../src/recipe/proof.ts";
import { proofsOf, recipe, type Output, type Recipe, type SourceRef, type Versions } from "../src/recipe/recipe.ts";
import { treeFiles, treeScript, type TreeFields } from "../src/recipe/tree.ts";
import { seedBase } from "./seed.ts";

export interface IngotFields {
  /** Lower-case letters, digits and `-`; what `anvil inject` calls it. */
  readonly name: string;
  /** Of an ingot that takes the place of another one of its name where a channel has more sources. */
  readonly variant?: string;
  /** The component whose version it has, or the version itself. */
  readonly version: SourceRef | string;
  /** What it holds, each laid out from the root (`usr/bin/make`, `service/postgres/run`). No two hold the same file. */
  readonly trees: readonly [Recipe, ...Recipe[]];
  /** Other ingots that must be active, each with the least version that will do. */
  readonly needs?: readonly { readonly ingot: string; readonly atLeast?: string }[];
  /** Names of services: the trees hold `service/<name>/run`. */
  readonly services?: readonly string[];
  /** A program of the trees that ends with 0 within so many seconds after the activation, or the old one comes back. */
  readonly health?: { readonly seconds: number; readonly program: string };
  /** Bytes that it may have when it is packed. */
  readonly atMost?: number;
  /** Keeps data of its own in `/ingots/<name>/data`, which its versions share. */
  readonly data?: true;
  /** Level of zstd: 19 when absent. A lower one is for what is sent once. */
  readonly compression?: number;
}

/** Bytes of the payload in one chunk. */
const chunkSize = 4 * 1024 * 1024;

// /build/tree: the trees on top of each other, writable.
const gather = (fields: TreeFields): string => `\
mkdir tree
${treeScript(fields, "/build/tree")}\
fail() { echo "$1" >&2; exit 1; }
strange=$(find tree -name '*[[:cntrl:]]*' -o -lname '*[[:cntrl:]]*' -o ! -type f ! -type d ! -type l)
[ -z "$strange" ] || fail "an ingot holds files, folders and links, without control characters in names: $strange"
`;

// A list of all entries in the order of their names, bytewise, and the hashes of the files in the same order. In names
// a space is written %20, and so % itself %25.
const list = `\
cd tree
find . -mindepth 1 -printf '%P\\t%y\\t%m\\t%s\\t%l\\n' | sort -t $'\\t' -k 1,1 > ../entries
awk -F '\\t' '$2 == "f" { print "./" $1 }' ../entries > ../files
[ -s ../files ] || fail "the trees hold no file"
xargs -d '\\n' b2sum -z -- < ../files | tr '\\0' '\\n' | cut -c 1-128 > ../sums
awk -F '\\t' '
  function written(name) { gsub(/%/, "%25", name); gsub(/ /, "%20", name); return name }
  $2 == "d" { print "dir 755", written($1) }
  $2 == "f" { getline sum < "../sums"; print "file", int($3 / 100) % 2 ? 755 : 644, $4, sum, written($1) }
  $2 == "l" { print "link", written($5), written($1) }
' ../entries > ../listing
`;

// Each chunk is a frame of its own, with the window of the decoder as the bound. make, for the sake of the jobserver.
const pack = (compression: number): string => `\
xargs -d '\\n' cat -- < ../files | split -b ${chunkSize} -a 6 -d - ../chunk.
cd ..
cat > compress.mk <<'END'
all: $(addsuffix .zst,$(wildcard chunk.??????))
%.zst: %
	zstd -q -${compression} --single-thread --no-check -o $@ $<
END
make -s -f compress.mk
zstd -q -t --memory=8MB chunk.*.zst
for chunk in chunk.??????; do
  echo "chunk $(stat -c %s $chunk) $(stat -c %s $chunk.zst) $(b2sum < $chunk.zst | cut -c 1-128)"
done > chunks
cat chunk.*.zst > /out/payload
`;

/** Checks that the tree holds what the manifest promises of it. */
function promised({ services = [], health }: IngotFields): string {
  const programs = [...services.map((service) => `service/${service}/run`), ...(health ? [health.program] : [])];
  return programs.map((path) => `[ -x 'tree/${path}' ] || fail 'there is no program ${path}'\n`).join("");
}

function head(fields: IngotFields, versions: Versions): string {
  const { name, version, trees, needs = [], services = [], health, data } = fields;
  const proofs = new Set(
    trees.flatMap((tree) => proofsOf(tree, versions).map((proof) => `${tree.name} ${describeProof(proof)}`)),
  );
  return [
    "anvil-ingot 1",
    `name ${name}`,
    `version ${typeof version === "string" ? version : versions.of(version.component)}`,
    "arch x86_64",
    "date @DATE@",
    ...needs.map(({ ingot, atLeast }) => `needs ${ingot}${atLeast === undefined ? "" : ` ${atLeast}`}`),
    ...services.map((service) => `service ${service}`),
    ...(health === undefined ? [] : [`health ${health.seconds} ${health.program}`]),
    ...(data === undefined ? [] : ["data"]),
    ...[...proofs].map((proof) => `proof ${proof}`),
    ...[...componentsOf(trees)].flatMap((component) => {
      const local = versions.local(component);
      return local === undefined ? [] : [`proof not the channel's source: ${local}`];
    }),
    "",
  ].join("\n");
}

/** What they, and all that they are made with, have sources of. */
function componentsOf(outputs: readonly Output[], seen = new Set<Output>()): ReadonlySet<string> {
  const found = new Set<string>();
  for (const output of outputs) {
    if (seen.has(output) || output.kind === "seed") continue;
    seen.add(output);
    const { sources, below } =
      output.kind === "cpio"
        ? { sources: [], below: [output.tree] }
        : { sources: output.sources, below: [output.root, ...output.tools, ...output.link, ...output.inputs] };
    for (const { component } of sources) found.add(component);
    for (const component of componentsOf(below, seen)) found.add(component);
  }
  return found;
}

export function ingot(fields: IngotFields): Ingot {
  const { name, variant, trees, compression = 19 } = fields;
  const manifest = (versions: Versions): string => `\
sed "1,5s/@DATE@/$SOURCE_DATE_EPOCH/" > start <<'END'
${head(fields, versions)}END
cat start listing chunks > /out/manifest
echo end >> /out/manifest
`;
  const body = recipe({
    name: variant === undefined ? `ingot-${name}` : `ingot-${name}-${variant}`,
    licence: allOf(...trees.map(({ licence }) => licence)),
    files: treeFiles({ from: trees }),
    seed: seedBase,
    inputs: trees,
    script: (versions) =>
      [gather({ from: trees }), promised(fields), list, pack(compression), manifest(versions)].join(""),
    proves: [
      exists("payload"),
      contains("manifest", /^anvil-ingot 1$/),
      contains("manifest", new RegExp(`^name ${name}$`)),
      contains("manifest", /^chunk [1-9][0-9]* [1-9][0-9]* [0-9a-f]{128}$/),
      contains("manifest", /^end$/),
      ...(fields.atMost === undefined ? [] : [atMost("payload", fields.atMost)]),
    ],
  });
  return Object.freeze({ name, version: fields.version, data: fields.data === true, trees, body });
}
