/**
 * Signatures as authors made them: a Debian archive keeps them beside the archives that it did not repack. Those of our
 * components are served as their authors would, and locked with the keys of this project.
 */
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { mirrorsOf } from "../../src/forge/downloads.ts";
import type { Release } from "../../src/recipe/channel.ts";
import { mirrorHas, mirrorReader, type SourcePackage } from "../../src/source/archive-index.ts";
import { AuthorKeys } from "../../src/source/author-keys.ts";
import { AuthorSites } from "../../src/source/author-site.ts";
import { loadChannel } from "../../src/source/channel.ts";
import { upstreamVersion } from "../../src/source/debian-version.ts";
import { httpClient } from "../../src/source/http.ts";
import { debianKeyring } from "../../src/source/openpgp.ts";
import { lockReleases } from "../../src/source/releases.ts";
import { Archive } from "../../src/source/signed-archive.ts";
import { DiskStore } from "../../src/store/disk-store.ts";
import { cachePaths, projectRoot, temporaryFolder } from "../forge/rig.ts";
import { emptyFolder, listing, publish, type Site } from "../source/author-builder.ts";

const SUITES = ["bookworm", "bookworm-security", "trixie", "trixie-security", "sid"];

/** Component whose key it is, what its signatures are worth, and words of why. Newer ones may come after a key's expiry. */
const packages: Readonly<Record<string, readonly [component: string, worth: readonly string[], why: RegExp]>> = {
  dropbear: ["dropbear", ["signed"], /^signed by Dropbear/],
  elfutils: ["elfutils", ["signed"], /^signed by Mark Wielaard/],
  grub2: ["grub", ["signed"], /^signed by Daniel Kiper/],
  m4: ["m4", ["signed"], /^signed by Eric Blake/],
  // of the author of GMP, whose own archive is repacked
  nettle: ["gmp", ["signed", "recorded"], /Niels Möller/],
  // 3.0.22 is by a key that no packaging has which was seen
  openssl: ["openssl", ["signed", "recorded", "E_SIGNATURE"], /OpenSSL/],
  "xz-utils": ["xz", ["signed", "recorded"], /Lasse Collin/],
  musl: ["musl", ["recorded"], /too weak to count \(Insecure message hash algorithm: SHA1\)/],
  // repacked, and signed by who did that
  libzstd: ["zstd", ["E_SIGNATURE"], /not one of those that may sign this/],
  // repacked, and not signed
  gmp: ["gmp", ["E_COMPONENT"], /there is no /],
  libtirpc: ["elfutils", ["E_COMPONENT"], /there is no /],
};

test("what authors signed is signed, and nothing else", async (t) => {
  const mirrors = await mirrorsOf({
    store: DiskStore.open(cachePaths(path.join(temporaryFolder(t), "cache"))),
    client: httpClient(),
    mirrors: {
      flags: [],
      environment: process.env["ANVIL_DEBIAN_MIRROR"],
      securityEnvironment: process.env["ANVIL_DEBIAN_SECURITY_MIRROR"],
      apt: "/etc/apt",
    },
  });
  const places = Object.fromEntries(
    Object.keys(packages).map((name) => [name, { package: name, suites: SUITES, licence: "any" }]),
  );
  const access = { read: mirrorReader(mirrors), has: mirrorHas(mirrors), keyring: await debianKeyring("/") };
  const archive = new Archive({ ...access, acceptExpired: true }, { name: "test", places });
  const { releases = {} } = await loadChannel(projectRoot, "rfc-0054");
  const seen = new Set<string>();
  const wrong: string[] = [];
  const counts: Record<string, number> = {};
  for (const suite of SUITES) {
    for (const [name, [component, worth, why]] of Object.entries(packages)) {
      const keys = releases[component]?.signature?.keys;
      assert.ok(keys !== undefined, component);
      for (const source of await archive.sources(suite, "main", name)) {
        const site = await siteOf(archive, source, worth.includes("E_COMPONENT"));
        if (site === undefined || seen.has(site.file)) continue;
        seen.add(site.file);
        const [found, words] = await locked(t, site, keys);
        counts[found] = (counts[found] ?? 0) + 1;
        t.diagnostic(`${site.file}: ${found}: ${words}`);
        if (!worth.includes(found) || !why.test(words)) wrong.push(`${site.file}: ${found}: ${words}`);
        if (found !== "signed") continue;
        const other = await locked(t, { ...site, files: { ...site.files, [`/${site.file}`]: "other bytes" } }, keys);
        if (other[0] !== "E_SIGNATURE") wrong.push(`${site.file} with other bytes: ${other.join(": ")}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok((counts["signed"] ?? 0) >= 6, JSON.stringify(counts));
  assert.ok((counts["recorded"] ?? 0) >= 1, JSON.stringify(counts));
  assert.ok((counts["E_COMPONENT"] ?? 0) >= 1, JSON.stringify(counts));
});

interface Published {
  readonly file: string;
  readonly version: string;
  readonly files: Site;
}

/** Undefined when no mirror has the archive, or its signature; `unsigned` takes those that the index lists without one. */
async function siteOf(
  archive: Archive,
  { version, files }: SourcePackage,
  unsigned: boolean,
): Promise<Published | undefined> {
  const tarball = files.find(({ path: file }) => /\.orig\.tar\.\w+$/.test(file));
  if (tarball === undefined || !(await archive.has(tarball))) return undefined;
  const signature = files.find(({ path: file }) => file === `${tarball.path}.asc`);
  if (signature === undefined ? !unsigned : !(await archive.has(signature))) return undefined;
  const file = path.posix.basename(tarball.path);
  const site: Site = { "/": listing(file), [`/${file}`]: await archive.read(tarball) };
  if (signature !== undefined) site[`/${file}.asc`] = await archive.read(signature);
  return { file, version: upstreamVersion(version), files: site };
}

/** What the lock made of it, and its words. */
async function locked(
  t: Parameters<typeof publish>[0],
  { file, version, files }: Published,
  keys: readonly string[],
): Promise<[string, string]> {
  const { root } = await publish(t, files);
  // Debian's mark of a repacked archive is no part of its version
  const url = `${root}/${file.replace(version, "{version}")}`;
  const release: Release = {
    list: `${root}/`,
    urls: [url],
    signature: { url: `${url}.asc`, keys },
    licence: "any",
  };
  const sites = new AuthorSites({ sources: emptyFolder(t), folder: path.join(emptyFolder(t), "run") });
  const access = { sites, keys: new AuthorKeys(projectRoot) };
  const found = await lockReleases({ releases: { it: release }, components: {} }, ["it"], access, { again: false });
  const [problem] = found.problems;
  if (problem !== undefined) return [problem.fault.code, [problem.fault.message, ...problem.fault.details].join("; ")];
  const [pin] = found.locked;
  return [pin?.pin.verified ?? "", pin?.evidence.join("; ") ?? ""];
}
