import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { sha256 } from "../../src/forge/key.ts";
import type { Digest, Key } from "../../src/recipe/derivation.ts";
import { source } from "../../src/recipe/recipe.ts";
import { seedProgram } from "../../src/sandbox/sandbox.ts";
import { buildAr } from "../format/elf-builder.ts";
import { buildTar, type TarItem } from "../format/tar-builder.ts";
import { Rig, step, type Run } from "./rig.ts";
import { sourceOf, tarball, type Source } from "./sources.ts";

const user = step("user", "ls -R /build; touch /out/done", { source: source("data") });

/** Forges `user` with a source that is there already. */
async function forgeWith(t: TestContext, data: Source): Promise<{ rig: Rig; run: Run }> {
  const rig = await Rig.make(t, { components: { data: data.pin } });
  writeFileSync(rig.store.sources.path(data.pin.sha256 as Digest), data.bytes);
  return { rig, run: await rig.forge(user) };
}

const evil: Record<string, { readonly item: TarItem; readonly why: RegExp }> = {
  'an entry with ".."': { item: { name: "../../etc/passwd", data: "x" }, why: /contains "\.\."/ },
  "a hard link that leads out": {
    item: { name: "out", type: "link", target: "../../secret" },
    why: /hard link .*contains "\.\."/,
  },
  "a device node": { item: { name: "null", type: "character-device" }, why: /character-device/ },
};

for (const [name, { item, why }] of Object.entries(evil)) {
  test(`an archive with ${name} is refused before a step sees it`, async (t) => {
    const { rig, run } = await forgeWith(t, await tarball("data", [{ name: "data", data: "x" }, item]));
    assert.equal(run.ok, false);
    assert.equal(run.fault.code, "E_ARCHIVE");
    assert.match(run.fault.message, /^data is refused: /);
    assert.match(run.fault.message, why);
    assert.deepEqual(run.lines("user"), []);
    assert.ok(!run.events.some((event) => event.type === "phase" && event.phase === "build"));
    assert.equal(rig.store.outputs.has(rig.key(user)), false);
  });
}

test("an archive that passed an older check is looked through again, one that passed this one is not", async (t) => {
  const data = await tarball("data", [
    { name: "a/link", type: "symlink", target: "../../data" },
    { name: "again", type: "link", target: "data-1.0/a/link" },
    { name: "again/file", data: "x" },
  ]);
  const rig = await Rig.make(t, { components: { data: data.pin } });
  const file = rig.store.sources.path(data.pin.sha256 as Digest);
  writeFileSync(file, data.bytes);
  writeFileSync(`${file}.checked`, "");
  const run = await rig.forge(user);
  assert.equal(run.fault.code, "E_ARCHIVE");
  assert.equal(readFileSync(`${file}.checked`, "utf8"), "");
  const harmless = await tarball("data", [{ name: "data", data: "x" }]);
  const good = await forgeWith(t, harmless);
  assert.equal(good.run.ok, true);
  const marker = `${good.rig.store.sources.path(harmless.pin.sha256 as Digest)}.checked`;
  assert.equal(readFileSync(marker, "utf8"), "2\n");
});

test("a package of a seed cannot have the files of accounts written elsewhere", async (t) => {
  const rig = await Rig.make(t);
  const outside = path.join(rig.top, "outside");
  mkdirSync(outside);
  writeFileSync(path.join(outside, "passwd"), "mine\n");
  const seedOf = async (...items: TarItem[]): Promise<Run> => {
    const bytes = buildAr({ "debian-binary": Buffer.from("2.0\n"), "data.tar": await buildTar(items) });
    const digest = sha256(bytes);
    writeFileSync(rig.store.sources.path(digest), bytes);
    const derivation = {
      kind: "seed",
      name: "links",
      version: "1",
      packages: [{ package: "links", sha256: digest }],
    } as const;
    const key = sha256(JSON.stringify(derivation)) as string as Key;
    const nodes = new Map([[key, { key, derivation, needs: [] }]]);
    return rig.realise({ channel: rig.channel, nodes, targets: [key], pending: [] });
  };
  const file = await seedOf({ name: "etc/passwd", type: "symlink", target: path.join(outside, "passwd") });
  assert.equal(file.ok, true);
  const [tree] = rig.store.outputs.records().filter(({ name }) => name === "links");
  assert.ok(tree !== undefined);
  assert.match(readFileSync(path.join(rig.store.outputs.path(tree.key), "etc/passwd"), "utf8"), /^root:/);
  const folder = await seedOf({ name: "etc", type: "symlink", target: outside });
  assert.equal(folder.fault.code, "E_ARCHIVE");
  assert.deepEqual(readdirSync(outside), ["passwd"]);
  assert.equal(readFileSync(path.join(outside, "passwd"), "utf8"), "mine\n");
});

test("links to places of the author's machine are unpacked as they are, and lead to nothing of this one", async (t) => {
  const items: TarItem[] = [
    { name: "INSTALL", type: "symlink", target: "/usr/share/automake-1.16/INSTALL" },
    { name: "secret", type: "symlink", target: path.join(process.cwd(), "package.json") },
    { name: "file", data: "x" },
  ];
  const data = await tarball("data", items);
  const rig = await Rig.make(t, { components: { data: data.pin } });
  writeFileSync(rig.store.sources.path(data.pin.sha256 as Digest), data.bytes);
  const lists = step("user", "cd /build/data; readlink INSTALL; cat file; cat secret || touch /out/done", {
    source: source("data"),
  });
  const run = await rig.forge(lists);
  assert.equal(run.ok, true, run.ok ? "" : run.fault.message);
  assert.equal(run.lines("user")[0], "/usr/share/automake-1.16/INSTALL");
  assert.ok(rig.store.outputs.has(rig.key(lists)));
});

test("an archive with an absolute name is refused", async (t) => {
  const bytes = gzipSync(await buildTar([{ name: "/etc/passwd", data: "x" }]));
  const { run } = await forgeWith(t, sourceOf("data", bytes));
  assert.equal(run.fault.code, "E_ARCHIVE");
  assert.match(run.fault.message, /"\/etc\/passwd" is absolute/);
});

test("an archive that writes through its own link is refused", async (t) => {
  const items: TarItem[] = [
    { name: "folder", type: "symlink", target: "elsewhere" },
    { name: "folder/file", data: "x" },
  ];
  const { run } = await forgeWith(t, await tarball("data", items));
  assert.equal(run.fault.code, "E_ARCHIVE");
  assert.match(run.fault.message, /lies behind the link/);
});

test("an archive that is cut off, empty, or none at all is refused", async (t) => {
  const whole = await tarball("data", [{ name: "data", data: "x".repeat(5000) }]);
  for (const bytes of [
    whole.bytes.subarray(0, whole.bytes.length / 2),
    gzipSync(await buildTar([])),
    Buffer.from("<html>not here</html>"),
    Buffer.alloc(0),
  ]) {
    const { run } = await forgeWith(t, sourceOf("data", bytes));
    assert.equal(run.fault.code, "E_ARCHIVE", run.fault.message);
    assert.deepEqual(run.lines("user"), []);
  }
});

for (const program of ["xz", "bzip2"]) {
  test(`an archive that ${program} compressed is looked through too`, async (t) => {
    const top = await Rig.make(t);
    const compress = (bytes: Buffer): Buffer => {
      const { command, args } = seedProgram(top.seedTree, `usr/bin/${program}`, ["-c"]);
      return spawnSync(command, args, { env: {}, input: bytes }).stdout;
    };
    const good = await buildTar([{ name: "data-1/data", data: "x" }]);
    const bad = await buildTar([{ name: "data-1/../../data", data: "x" }]);
    const { run } = await forgeWith(t, sourceOf("data", compress(good)));
    assert.equal(run.ok, true);
    assert.equal((await forgeWith(t, sourceOf("data", compress(bad)))).run.fault.code, "E_ARCHIVE");
    const cut = compress(good);
    const { run: third } = await forgeWith(t, sourceOf("data", cut.subarray(0, cut.length - 10)));
    assert.equal(third.fault.code, "E_ARCHIVE");
  });
}

test("a harmless archive with links inside of it is unpacked below /build, its top folder stripped", async (t) => {
  const items: TarItem[] = [
    { name: "bin", type: "directory" },
    { name: "bin/tool", data: "x", mode: 0o755 },
    { name: "tool", type: "symlink", target: "bin/tool" },
    { name: "bin/up", type: "symlink", target: "../bin/tool" },
    { name: "hard", type: "link", target: "data-1.0/bin/tool" },
  ];
  const { rig, run } = await forgeWith(t, await tarball("data", items));
  assert.equal(run.ok, true);
  assert.deepEqual(run.lines("user"), [
    "/build:",
    "data",
    "",
    "/build/data:",
    "bin",
    "hard",
    "tool",
    "",
    "/build/data/bin:",
    "tool",
    "up",
  ]);
  assert.ok(existsSync(path.join(rig.store.paths.sources, `${rig.channel.components["data"]?.sha256}.checked`)));
});
