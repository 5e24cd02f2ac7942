import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { ComponentAudit } from "../../src/source/advisories.ts";
import { sha256Of } from "../forge/sources.ts";
import { anvil, copyOfProject, temporaryFolder } from "./command-line.ts";

interface Document {
  readonly of: string;
  readonly open: number;
  readonly components: readonly ComponentAudit[];
}

const debian = ["--channel", "debian"];

test("the ISO's sources are listed with what is known of them, and what is open makes the status 1", async (t) => {
  const cache = temporaryFolder(t);
  const { status, stdout } = await anvil(["audit", ...debian, "--json"], { cache });
  const { of, open, components } = JSON.parse(stdout) as Document;
  assert.equal(of, "channel debian");
  assert.equal(status, open === 0 ? 0 : 1);
  const names = components.map(({ component }) => component);
  for (const name of ["linux", "musl", "zfs", "busybox", "grub-common"]) assert.ok(names.includes(name), name);
  assert.ok(!names.includes("postgresql"), "that is in an ingot");
  const qsort = components.flatMap(({ advisories }) => advisories).find(({ ids }) => ids.includes("CVE-2026-40200"));
  assert.equal(qsort?.status, "fixed");
  assert.ok(components.every(({ looked }) => looked !== undefined));
  const text = await anvil(["audit", ...debian], { cache });
  assert.match(
    text.stdout,
    /\n {2}fixed {9}qsort writes past an array on the stack\n {16}CVE-2026-40200\n {16}by patches\//,
  );
  assert.match(text.stdout, /\nchannel debian: \d+ open, \d+ fixed, \d+ not affected, in \d+ components\n$/);
});

test("a target has sources of its own, and --open leaves out what is settled", async (t) => {
  const { stdout } = await anvil(["audit", "ingot-db", ...debian, "--open", "--json"], { cache: temporaryFolder(t) });
  const { components } = JSON.parse(stdout) as Document;
  assert.ok(components.every(({ advisories }) => advisories.every(({ status }) => status === "open")));
  const all = await anvil(["audit", "ingot-db", ...debian, "--json"], { cache: temporaryFolder(t) });
  assert.ok((JSON.parse(all.stdout) as Document).components.some(({ component }) => component === "postgresql"));
});

test("a component that nobody has looked at is told, and is not all right", async (t) => {
  const project = copyOfProject(t);
  const file = path.join(project, "channels/advisories.json");
  const known = JSON.parse(readFileSync(file, "utf8")) as Record<string, { advisories: unknown[] }>;
  for (const each of Object.values(known)) each.advisories = [];
  writeFileSync(file, JSON.stringify(known));
  assert.equal((await anvil(["audit", ...debian], { project, cache: temporaryFolder(t) })).status, 0);
  delete known["zfs"];
  writeFileSync(file, JSON.stringify(known));
  const { status, stdout } = await anvil(["audit", ...debian], { project, cache: temporaryFolder(t) });
  assert.equal(status, 1);
  assert.match(stdout, /nobody has looked at zfs\n$/);
});

test("an ISO is judged by the manifest beside it, which must be of its bytes", async (t) => {
  const cache = temporaryFolder(t);
  const iso = path.join(cache, "a.iso");
  const manifest = path.join(cache, "a.manifest.json");
  writeFileSync(iso, "an image");
  const absent = await anvil(["audit", iso], { cache });
  assert.equal(absent.status, 1);
  assert.match(absent.stderr, /^E_MANIFEST {2}.*a\.manifest\.json cannot be read: ENOENT/);
  const source = (name: string, version: string, more: object = {}): object => ({
    name,
    version,
    file: `${name}.tar.xz`,
    sha256: "0",
    verified: "signed",
    ...more,
  });
  const sources = [source("musl", "1.2.5"), source("musl.patches-1", "1.2.5", { patches: ["patches/other.patch"] })];
  const files = [{ file: "a.iso", bytes: 8, sha256: sha256Of(Buffer.from("an image")) }];
  writeFileSync(manifest, JSON.stringify({ format: 1, files, components: [{ name: "libc", sources }], seed: [] }));
  for (const file of [iso, manifest]) {
    const { status, stdout } = await anvil(["audit", file, "--json"], { cache });
    assert.equal(status, 1);
    const { components } = JSON.parse(stdout) as Document;
    const qsort = components[0]?.advisories.find(({ ids }) => ids.includes("CVE-2026-40200"));
    assert.equal(qsort?.status, "open", "the patch was not applied there");
  }
  writeFileSync(iso, "another image");
  const other = await anvil(["audit", iso], { cache });
  assert.match(other.stderr, /^E_MANIFEST {2}.*is not of this ISO/);
});

test("what is known must be readable", async (t) => {
  const project = copyOfProject(t);
  writeFileSync(path.join(project, "channels/advisories.json"), '{"zlib": {"looked": "today"}}');
  const { status, stderr } = await anvil(["audit", ...debian], { project, cache: temporaryFolder(t) });
  assert.equal(status, 1);
  assert.match(stderr, /^E_CHANNEL {2}channels\/advisories\.json is wrong at \$\.zlib\.looked/);
});
