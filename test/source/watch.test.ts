import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import type { Channel, Component } from "../../src/recipe/channel.ts";
import type { Known } from "../../src/source/advisories.ts";
import { keyringOf } from "../../src/source/openpgp.ts";
import { Archive } from "../../src/source/signed-archive.ts";
import { news, type Finding } from "../../src/source/watch.ts";
import { archiveFiles, hashOf, newSigner, packagingWith, sourceParagraph } from "./archive-builder.ts";

const signer = await newSigner();
const keyring = await keyringOf(signer.publicKey);

interface Listed {
  readonly trixie?: string;
  readonly security?: string;
  /** Packaging archives by path. */
  readonly files?: Readonly<Record<string, Buffer>>;
  /** Names of files that no mirror has. */
  readonly absent?: readonly string[];
}

/** What became known of musl, which is pinned at 1.5. */
async function newsOf(
  { trixie = "", security = "", files = {}, absent = [] }: Listed,
  known: Known = {},
  pin: Partial<Component> = {},
): Promise<Finding[]> {
  const served = await archiveFiles(
    {
      trixie: { indexes: { "main/source/Sources": trixie } },
      "trixie-security": { indexes: { "main/source/Sources": security } },
    },
    signer,
  );
  for (const [name, bytes] of Object.entries(files)) served.set(name, bytes);
  const musl: Component = { version: "1.5", sha256: hashOf("1.5"), verified: "signed", licence: "MIT", ...pin };
  const places = { musl: { package: "musl", suites: ["trixie", "trixie-security"], licence: "MIT" } };
  const channel: Channel = { name: "debian", description: "", epoch: 1, places, components: { musl }, seeds: {} };
  const archive = new Archive(
    {
      read: (where) => {
        const bytes = served.get(where);
        return bytes === undefined ? Promise.reject(new Error(`not served: ${where}`)) : Promise.resolve(bytes);
      },
      has: ({ path: where }) => Promise.resolve(!absent.includes(path.basename(where))),
      keyring,
    },
    channel,
  );
  return news(archive, channel, known);
}

const read = (version: string, ids: readonly string[] = [], patches: readonly string[] = []): Known => ({
  musl: {
    looked: "2026-01-02",
    read: version,
    advisories: [{ ids, what: "it breaks", date: "2026-01-02", source: "somebody", patches }],
  },
});

const kinds = (findings: readonly Finding[]): string[] => findings.map(({ kind, what }) => `${kind}: ${what}`);

const updates = { pool: "pool/updates/main" };

test("a newer version in the suite's security updates is told, and whether a mirror has it", async () => {
  const listed = { trixie: sourceParagraph("musl", "1.5-1"), security: sourceParagraph("musl", "1.6-1", updates) };
  const known = read("1.6-1");
  assert.deepEqual(kinds(await newsOf(listed, known)), ["version: 1.6 is in trixie-security, pinned is 1.5"]);
  assert.deepEqual(kinds(await newsOf({ ...listed, absent: ["musl_1.6.orig.tar.xz"] }, known)), [
    "version: 1.6 is in trixie-security, pinned is 1.5; no mirror has it yet",
  ]);
});

test("of the newer versions the newest is told, and the newest that can be had", async () => {
  const trixie = ["1.5-1", "1.6-1", "1.7-1", "1.8-1"].map((version) => sourceParagraph("musl", version)).join("");
  assert.deepEqual(kinds(await newsOf({ trixie, absent: ["musl_1.8.orig.tar.xz"] }, read("1.8-1"))), [
    "version: 1.8 is in trixie, pinned is 1.5; no mirror has it yet",
    "version: 1.7 is in trixie, pinned is 1.5",
  ]);
});

test("what somebody has read is no news, and nothing that is older", async () => {
  const packaging = await packagingWith({
    "patches/series": "CVE-2026-1111.patch\n",
    changelog: "musl (1.5-2) trixie; urgency=high\n\n  * CVE-2026-1111\n",
  });
  const trixie = sourceParagraph("musl", "1.5-2", { packaging });
  const files = { "pool/main/musl/musl_1.5-2.debian.tar.gz": packaging };
  assert.deepEqual(await newsOf({ trixie, files }, read("1.5-2")), []);
  assert.equal((await newsOf({ trixie, files }, read("1.5-1"))).length, 2);
  assert.equal((await newsOf({ trixie, files })).length, 2, "nobody has looked at all");
});

test("fixes that the pin has not, and numbers that no advisory names, are told from the newest packaging archive", async () => {
  const packaging = await packagingWith({
    "patches/series": "CVE-2026-1111.patch\nqsort.patch\npaths.patch\npinned.patch\n",
    "patches/qsort.patch": "Bug: GHSA-aaaa-bbbb-cccc\n--- a\n+++ b\n",
    "patches/paths.patch": "about paths\n--- a\n+++ b\n",
    "patches/pinned.patch": "CVE-2026-3333\n--- a\n+++ b\n",
    changelog: [
      "musl (1.5-3) trixie; urgency=high\n\n  * CVE-2026-1111, CVE-2026-2222\n",
      "musl (1.5-2) trixie; urgency=high\n\n  * CVE-2026-3333\n",
      "musl (1.5-1) trixie; urgency=low\n\n  * CVE-2020-4444\n",
    ].join("\n"),
  });
  const patches = [
    {
      archive: "pool/main/m.tar.xz",
      sha256: hashOf("m"),
      size: 1,
      verified: "signed" as const,
      files: ["patches/pinned.patch"],
    },
  ];
  const found = await newsOf(
    {
      trixie: sourceParagraph("musl", "1.5-3", { packaging }),
      files: { "pool/main/musl/musl_1.5-3.debian.tar.gz": packaging },
    },
    read("1.5-1", ["CVE-2026-3333"]),
    { patches },
  );
  assert.deepEqual(kinds(found), [
    "advisory: 1.5-3 names CVE-2026-1111, CVE-2026-2222",
    "patch: 1.5-3 has patches/CVE-2026-1111.patch, patches/qsort.patch",
  ]);
});

test("patches of another version than the pinned one are not to be taken", async () => {
  const packaging = await packagingWith({ "patches/series": "CVE-2026-1111.patch\n", changelog: "" });
  const found = await newsOf(
    {
      trixie: sourceParagraph("musl", "1.4-2", { packaging }),
      files: { "pool/main/musl/musl_1.4-2.debian.tar.gz": packaging },
    },
    read("1.4-1"),
  );
  assert.deepEqual(found, []);
});

test("a changelog that no mirror has is told once, and the next older one is read", async () => {
  const packaging = await packagingWith({ changelog: "musl (1.5-2) trixie; urgency=high\n\n  * CVE-2026-1111\n" });
  const newest = sourceParagraph("musl", "1.5-3", { packaging: await packagingWith({ changelog: "x" }) });
  const found = await newsOf(
    {
      trixie: newest + sourceParagraph("musl", "1.5-2", { packaging }),
      security: newest,
      files: { "pool/main/musl/musl_1.5-2.debian.tar.gz": packaging },
      absent: ["musl_1.5-3.debian.tar.gz"],
    },
    read("1.5-1"),
  );
  assert.deepEqual(kinds(found), [
    "unread: what changed in 1.5-3 (trixie): no mirror has musl_1.5-3.debian.tar.gz",
    "advisory: 1.5-2 names CVE-2026-1111",
  ]);
});
