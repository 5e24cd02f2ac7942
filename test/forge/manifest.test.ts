import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { seedBase } from "../../recipes/seed.ts";
import { evaluate } from "../../src/forge/evaluate.ts";
import { auditOf, manifestOf, readManifest, type Manifest } from "../../src/forge/manifest.ts";
import type { Channel, Package } from "../../src/recipe/channel.ts";
import { source } from "../../src/recipe/recipe.ts";
import type { Known } from "../../src/source/advisories.ts";
import type { Store } from "../../src/store/store.ts";
import { projectRoot, step, temporaryFolder } from "./rig.ts";
import { sha256Of } from "./sources.ts";

const hashOf = (text: string): string => sha256Of(Buffer.from(text));

const debOf = (name: string, more: Partial<Package> = {}): Package => ({
  package: name,
  version: "1-1",
  archive: `pool/main/${name}_1-1.deb`,
  sha256: hashOf(name),
  size: 1,
  ...more,
});

const patches = (name: string, files: readonly string[]) => ({
  archive: `pool/main/${name}.debian.tar.xz`,
  sha256: hashOf(name),
  size: 1,
  verified: "signed" as const,
  files,
});

const channel: Channel = {
  name: "test",
  description: "test",
  epoch: 1,
  components: {
    data: {
      version: "1.5",
      archive: "pool/main/data_1.5.orig.tar.xz",
      sha256: hashOf("data"),
      verified: "recorded",
      licence: "0BSD",
      patches: [patches("one", ["patches/a.patch", "patches/b.patch"]), patches("two", ["patches/c.patch"])],
    },
  },
  seeds: {
    base: [
      debOf("bash", { verified: "signed" }),
      debOf("dash", { verified: "recorded" }),
      debOf("grub-common", { version: "2.06" }),
    ],
  },
};

const known: Known = {
  data: {
    looked: "2026-01-02",
    advisories: [
      {
        ids: ["CVE-2026-1"],
        what: "x",
        date: "2026-01-01",
        source: "s",
        patches: ["patches/a.patch", "patches/c.patch"],
      },
      { ids: ["CVE-2026-2"], what: "y", date: "2026-01-01", source: "s", fixedIn: ["1.6"] },
    ],
  },
  "grub-common": { looked: "2026-01-02", seed: true, advisories: [] },
};

const everythingIsThere = { outputs: { record: () => ({ digest: "0", proofs: [] }) } } as unknown as Store;

function manifest(): Manifest {
  const target = step("thing", "touch /out/a", { source: source("data") });
  const evaluation = evaluate([target], { project: projectRoot, channel, pins: new Map() });
  return manifestOf(evaluation, everythingIsThere, {
    why: "asked for",
    files: [],
    trust: [],
    rootLogin: true,
    logins: [],
    known,
  });
}

test("the manifest says signed only of those packages of the seed whose pins say so", () => {
  assert.equal(seedBase.name, "base");
  assert.deepEqual(
    manifest().seed.map(({ name, verified }) => [name, verified]),
    [
      ["bash", "signed"],
      ["dash", "recorded"],
      ["grub-common", "recorded"],
    ],
  );
});

test("the manifest names the patches that were applied, and where each archive's hash is from", () => {
  const [{ sources } = { sources: [] }] = manifest().components;
  assert.deepEqual(
    sources.map((each) => [each.name, each.verified, each.patches]),
    [
      ["data", "recorded", undefined],
      ["data.patches-1", "signed", ["patches/a.patch", "patches/b.patch"]],
      ["data.patches-2", "signed", ["patches/c.patch"]],
    ],
  );
});

test("the manifest carries what is known of its sources, and an audit of it says the same", () => {
  const found = manifest();
  assert.deepEqual(
    found.advisories.map(({ component, advisories }) => [component, advisories.map(({ status }) => status)]),
    [
      ["data", ["fixed", "open"]],
      ["grub-common", []],
    ],
  );
  assert.deepEqual(auditOf(found, known), found.advisories);
});

test("what became known later is judged by what the manifest says was built", () => {
  const later: Known = {
    data: {
      looked: "2026-02-02",
      advisories: [
        { ids: ["CVE-2026-3"], what: "z", date: "2026-02-01", source: "s", patches: ["patches/d.patch"] },
        { ids: ["CVE-2026-4"], what: "z", date: "2026-02-01", source: "s", patches: ["patches/b.patch"] },
      ],
    },
  };
  assert.deepEqual(
    auditOf(manifest(), later).map(({ advisories }) => advisories.map(({ status }) => status)),
    [["open", "fixed"]],
  );
});

test("a file that is no manifest is refused", (t) => {
  const folder = temporaryFolder(t);
  const file = path.join(folder, "a.manifest.json");
  assert.throws(() => readManifest(file), { code: "E_MANIFEST", message: /cannot be read: ENOENT/ });
  for (const text of ["", "null", "{}", '{"format": 2, "components": [], "seed": [], "files": []}']) {
    writeFileSync(file, text);
    assert.throws(() => readManifest(file), { code: "E_MANIFEST" });
  }
  writeFileSync(file, JSON.stringify(manifest()));
  assert.deepEqual(readManifest(file), JSON.parse(JSON.stringify(manifest())));
});
