// Takes public keys of authors out of the packaging of a Debian archive, by its signature, into channels/keys:
//   node scripts/author-keys.mjs
// What others certified about a key, and pictures in it, are left out.
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** Fingerprint of the primary key: source package that has it, and the suite of that. */
const wanted = {
  "343C2FF0FBEE5EC2EDBEF399F3599FF828C67298": ["nettle", "trixie"],
  "3690C240CE51B4670D30AD1C38EE757D69184620": ["xz-utils", "trixie"],
  "4EF4AC63455FC9F4545D9B7DEF8FE99528B52FFD": ["libzstd", "trixie"],
  "647F28654894E3BD457199BE38DBBDC86092693E": ["linux", "bookworm"],
  "6D4EEB02AD834703510B117680CB727A20C79BB2": ["make-dfsg", "trixie"],
  "71C2CC22B1C4602927D2F3AAA7A16B4A2527436A": ["m4", "bookworm"],
  "836489290BB6B70F99FFDA0556BCDB593020450F": ["musl", "trixie"],
  B0C64D14301CC6EFAEDF60E4E4B71D5EEC39C284: ["util-linux", "trixie"],
  BA5473A2B0587B07FB27CF2D216094DFD0CB81EF: ["openssl", "trixie"],
  BE5C23209ACDDACEB20DB0A28C8189F1988C2166: ["grub2", "bookworm"],
  D1967C63788713177D861ED7DF597815937EC0D2: ["gawk", "trixie"],
  E27E5D8A3403A2EF66873BBCDEA66FF797772CDC: ["linux", "bookworm"],
  EC3CFE88F6CA0788774F5C1D1AA44BE649DE760A: ["valgrind", "trixie"],
  F7347EF2EE2E07A267628CA944931494F29C6773: ["dropbear", "trixie"],
};

/** The project's own reading of archives. */
async function modules() {
  const outfile = path.join(root, "dist/author-keys.mjs");
  const contents = [
    'export { mirrorHas, mirrorReader } from "./src/source/archive-index.ts";',
    'export { debianMirrors } from "./src/source/mirror.ts";',
    'export { publicMirrors } from "./src/source/public-mirrors.ts";',
    'export { httpClient } from "./src/source/http.ts";',
    'export { debianKeyring, fingerprintOf, publicKeys } from "./src/source/openpgp.ts";',
    'export { compareDebianVersions } from "./src/source/debian-version.ts";',
    'export { packagingOf } from "./src/source/lock.ts";',
    'export { Archive } from "./src/source/signed-archive.ts";',
    'export { tarEntries } from "./src/format/tar.ts";',
    'export { unxz } from "./src/format/xz.ts";',
  ].join("\n");
  await build({
    absWorkingDir: root,
    stdin: { contents, resolveDir: root, loader: "ts" },
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
  });
  return import(pathToFileURL(outfile).href);
}

const own = await modules();
const folder = path.join(root, "channels/keys");
mkdirSync(folder, { recursive: true });
const mirrors = await own.debianMirrors({
  flags: [],
  environment: process.env.ANVIL_DEBIAN_MIRROR,
  apt: "/etc/apt",
  publicOnes: () =>
    own.publicMirrors({ client: own.httpClient(), memory: path.join(root, "dist/public-mirrors.json") }),
});
const places = Object.fromEntries(
  Object.values(wanted).map(([name, suite]) => [name, { package: name, suites: [suite] }]),
);
const archive = new own.Archive(
  {
    read: own.mirrorReader(mirrors),
    has: own.mirrorHas(mirrors),
    keyring: await own.debianKeyring("/"),
    acceptExpired: true,
  },
  { name: "keys", places },
);

/** Keys of the newest packaging that a mirror has, and where they are from. */
async function keysOf(name, suite) {
  const versions = await archive.sources(suite, "main", name);
  versions.sort((a, b) => own.compareDebianVersions(b.version, a.version));
  for (const source of versions) {
    const file = own.packagingOf(source);
    if (file === undefined || !file.path.endsWith(".xz") || !(await archive.has(file))) continue;
    for await (const entry of own.tarEntries(own.unxz(Readable.from([await archive.read(file)])))) {
      if (!entry.name.endsWith("upstream/signing-key.asc")) continue;
      const chunks = [];
      for await (const chunk of entry.body) chunks.push(chunk);
      const origin = {
        package: name,
        version: source.version,
        archive: file.path,
        sha256: file.sha256,
        file: "upstream/signing-key.asc",
      };
      return { keys: await own.publicKeys(Buffer.concat(chunks).toString("latin1")), origin };
    }
  }
  throw new Error(`no packaging of ${name} in ${suite} has a key`);
}

const origins = {};
for (const [fingerprint, [name, suite]] of Object.entries(wanted)) {
  const { keys, origin } = await keysOf(name, suite);
  const key = keys.find((each) => own.fingerprintOf(each) === fingerprint);
  if (key === undefined) throw new Error(`${name} in ${suite} has not the key ${fingerprint}`);
  key.users = key.users.filter((user) => user.userID !== null);
  for (const user of key.users) user.otherCertifications = [];
  const primary = await key.getPrimaryUser(undefined).catch(() => key.users[0]);
  const user = (primary.user ?? primary).userID.userID;
  writeFileSync(path.join(folder, `${fingerprint}.asc`), key.armor().replaceAll("\r\n", "\n"));
  origins[fingerprint] = { user, origin };
  console.log(`${fingerprint}  ${user}, from ${name} ${origin.version}`);
}
writeFileSync(path.join(folder, "origin.json"), `${JSON.stringify(origins, null, 2)}\n`);
