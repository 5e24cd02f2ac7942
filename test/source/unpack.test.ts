import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { test, type TestContext } from "node:test";
import * as zlib from "node:zlib";
import { unpackDebs } from "../../src/source/unpack.ts";
import { buildAr } from "../format/elf-builder.ts";
import { buildTar, type TarItem } from "../format/tar-builder.ts";
import { tinyDebGz, tinyDebXz, tinyDebZst } from "../format/tiny-deb.ts";

function work(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), "anvil-unpack-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** A package with these files, written into the folder. */
async function deb(folder: string, name: string, ...items: TarItem[]): Promise<string> {
  const file = path.join(folder, name);
  writeFileSync(file, buildAr({ "debian-binary": Buffer.from("2.0\n"), "data.tar": await buildTar(items) }));
  return file;
}

/** The paths below a folder, links with what they hold. */
function list(top: string, below = ""): string[] {
  return readdirSync(path.join(top, below), { withFileTypes: true })
    .flatMap((entry) => {
      const name = path.join(below, entry.name);
      if (entry.isSymbolicLink()) return [`${name} -> ${readlinkSync(path.join(top, name))}`];
      return entry.isDirectory() ? [`${name}/`, ...list(top, name)] : [name];
    })
    .sort();
}

const mergedLinks = ["bin -> usr/bin", "lib -> usr/lib", "lib64 -> usr/lib64", "sbin -> usr/sbin"];

test("a package of dpkg-deb is unpacked without its documentation, however it is compressed", async (t) => {
  const folder = work(t);
  const zstd = "createZstdDecompress" in zlib;
  for (const [name, bytes] of Object.entries({ xz: tinyDebXz, gz: tinyDebGz, ...(zstd && { zst: tinyDebZst }) })) {
    const file = path.join(folder, `tiny-${name}.deb`);
    writeFileSync(file, bytes);
    const tree = path.join(folder, name);
    await unpackDebs([file], tree);
    assert.deepEqual(list(tree), [
      ...mergedLinks,
      "usr/",
      "usr/bin/",
      "usr/bin/little -> tiny",
      "usr/bin/tiny",
      "usr/share/",
    ]);
    assert.equal(readFileSync(path.join(tree, "usr/bin/tiny"), "utf8"), "#!/bin/sh\necho tiny\n");
    assert.equal(statSync(path.join(tree, "usr/bin/tiny")).mode & 0o7777, 0o755);
  }
});

test("what lies in bin, sbin, lib and lib64 goes below usr", async (t) => {
  const folder = work(t);
  const tree = path.join(folder, "tree");
  const file = await deb(
    folder,
    "a.deb",
    { name: "./bin/", type: "directory" },
    { name: "./bin/sh", type: "symlink", target: "dash" },
    { name: "./bin/dash", data: "dash", mode: 0o755 },
    { name: "./sbin/init", data: "init" },
    { name: "./lib/x86_64-linux-gnu/libc.so.6", data: "libc" },
    { name: "./lib64/ld-linux-x86-64.so.2", type: "symlink", target: "/lib/x86_64-linux-gnu/ld.so" },
  );
  await unpackDebs([file], tree);
  assert.deepEqual(list(tree), [
    ...mergedLinks,
    "usr/",
    "usr/bin/",
    "usr/bin/dash",
    "usr/bin/sh -> dash",
    "usr/lib/",
    "usr/lib/x86_64-linux-gnu/",
    "usr/lib/x86_64-linux-gnu/libc.so.6",
    "usr/lib64/",
    "usr/lib64/ld-linux-x86-64.so.2 -> /lib/x86_64-linux-gnu/ld.so",
    "usr/sbin/",
    "usr/sbin/init",
  ]);
});

test("setuid and setgid are dropped, other permissions kept, whatever the umask is", async (t) => {
  const folder = work(t);
  const tree = path.join(folder, "tree");
  const file = await deb(
    folder,
    "a.deb",
    { name: "usr/bin/su", mode: 0o6755 },
    { name: "etc/secret", mode: 0o400 },
    { name: "var/tmp/", type: "directory", mode: 0o1777 },
  );
  const umask = process.umask(0o077);
  try {
    await unpackDebs([file], tree);
  } finally {
    process.umask(umask);
  }
  const mode = (name: string): string => (lstatSync(path.join(tree, name)).mode & 0o7777).toString(8);
  assert.deepEqual(
    [mode("usr/bin/su"), mode("etc/secret"), mode("var/tmp"), mode("usr")],
    ["755", "400", "755", "755"],
  );
});

test("hard links share their file, and a later package replaces what an earlier one had", async (t) => {
  const folder = work(t);
  const tree = path.join(folder, "tree");
  const first = await deb(
    folder,
    "1.deb",
    { name: "usr/bin/perl", data: "perl", mode: 0o755 },
    { name: "bin/perl5", type: "link", target: "usr/bin/perl" },
    { name: "usr/bin/tool", type: "symlink", target: "perl" },
  );
  const second = await deb(
    folder,
    "2.deb",
    { name: "usr/bin/tool", data: "own" },
    { name: "usr/bin/perl", data: "new" },
  );
  await unpackDebs([first, second], tree);
  const read = (name: string): string => readFileSync(path.join(tree, "usr/bin", name), "utf8");
  assert.deepEqual([read("perl"), read("perl5"), read("tool")], ["new", "perl", "own"]);
  assert.equal(lstatSync(path.join(tree, "usr/bin/tool")).isSymbolicLink(), false);
});

test("an absolute link in a package leads within the tree, never out of it", async (t) => {
  const folder = work(t);
  const tree = path.join(folder, "tree");
  const outside = path.join(folder, "outside");
  const file = await deb(
    folder,
    "a.deb",
    { name: "var/run", type: "symlink", target: "/run" },
    { name: "var/run/lock/file", data: "1" },
    { name: "usr/evil", type: "symlink", target: outside },
    { name: "usr/evil/file", data: "2" },
    { name: "usr/up", type: "symlink", target: "../../../../../.." },
    { name: "usr/up/top", data: "3" },
  );
  await unpackDebs([file], tree);
  assert.equal(readFileSync(path.join(tree, "run/lock/file"), "utf8"), "1");
  assert.equal(existsSync(outside), false);
  assert.equal(readFileSync(path.join(tree, outside, "file"), "utf8"), "2");
  assert.equal(readFileSync(path.join(tree, "top"), "utf8"), "3");
});

test("a hard link to a symbolic link in a package leads within the tree, too", async (t) => {
  const folder = work(t);
  const tree = path.join(folder, "tree");
  const outside = path.join(folder, "outside");
  mkdirSync(outside);
  const first = await deb(
    folder,
    "a.deb",
    { name: "usr/link", type: "symlink", target: outside },
    { name: "usr/again", type: "link", target: "usr/link" },
    { name: "usr/third", type: "link", target: "usr/again" },
    { name: "usr/again/one", data: "1" },
    { name: "usr/third/deep/two", data: "2" },
  );
  const second = await deb(folder, "b.deb", { name: "usr/third/three", data: "3" });
  await unpackDebs([first, second], tree);
  assert.deepEqual(readdirSync(outside), []);
  assert.deepEqual(list(path.join(tree, outside)), ["deep/", "deep/two", "one", "three"]);
  assert.equal(readlinkSync(path.join(tree, "usr/third")), outside);
});

test("a hard link to what is no file is refused as such, not for the disk", async (t) => {
  const folder = work(t);
  for (const target of ["usr/folder", "usr/absent"]) {
    const file = await deb(
      folder,
      "a.deb",
      { name: "usr/folder", type: "directory" },
      { name: "usr/hard", type: "link", target },
    );
    await assert.rejects(unpackDebs([file], path.join(folder, "tree")), {
      code: "E_ARCHIVE",
      message: new RegExp(`hard link "usr/hard" leads to "${target}", which is no file`),
    });
  }
});

test("links that maintainer scripts would make are made, unless a package has its own", async (t) => {
  const folder = work(t);
  const tree = path.join(folder, "tree");
  const file = await deb(
    folder,
    "a.deb",
    { name: "usr/bin/gawk", data: "gawk" },
    { name: "usr/bin/gcc", data: "gcc" },
    { name: "usr/bin/cc", data: "mine" },
  );
  await unpackDebs([file], tree);
  assert.equal(readlinkSync(path.join(tree, "usr/bin/awk")), "gawk");
  assert.equal(readFileSync(path.join(tree, "usr/bin/cc"), "utf8"), "mine");
  assert.equal(existsSync(path.join(tree, "usr/bin/c++")), false);
});

test("another decompressor can be given, and progress is told", async (t) => {
  const folder = work(t);
  const file = path.join(folder, "tiny.deb");
  writeFileSync(file, tinyDebXz);
  const replaced = await buildTar([{ name: "./from/elsewhere", data: "x" }]);
  const told: unknown[] = [];
  await unpackDebs([file, file], path.join(folder, "tree"), {
    unxz: (compressed) => {
      // may be opened only after the test has ended
      compressed.on("error", () => {}).destroy();
      return Readable.from([replaced]);
    },
    onPackage: (...args) => told.push(args),
  });
  assert.equal(existsSync(path.join(folder, "tree/from/elsewhere")), true);
  assert.deepEqual(told, [
    [file, 1, 2],
    [file, 2, 2],
  ]);
});

test("a file that is no sound package is a fault that names it", async (t) => {
  const folder = work(t);
  const bad = path.join(folder, "bad.deb");
  const cases: [bytes: Uint8Array, words: RegExp][] = [
    [Buffer.from("no package"), /not an ar archive/],
    [tinyDebXz.subarray(0, 400), /cut off/],
    [damagedXz(), /xz stream is damaged/],
    [await withEntry({ name: "../up" }), /"\.\.\/up" contains "\.\."/],
    [await withEntry({ name: "dev/null", type: "character-device" }), /character-device/],
    [await withEntry({ name: "a", type: "symlink", target: "a" }, { name: "a/b" }), /too many links/],
  ];
  for (const [bytes, words] of cases) {
    writeFileSync(bad, bytes);
    await assert.rejects(unpackDebs([bad], path.join(folder, "tree")), {
      code: "E_ARCHIVE",
      message: new RegExp(`^bad\\.deb cannot be unpacked: .*${words.source}`),
    });
  }
});

function damagedXz(): Uint8Array {
  const bytes = Buffer.from(tinyDebXz);
  const at = bytes.length - 100;
  bytes[at] = (bytes[at] ?? 0) ^ 0xff;
  return bytes;
}

async function withEntry(...items: TarItem[]): Promise<Uint8Array> {
  return buildAr({ "data.tar": await buildTar(items) });
}

test("an abort ends between two packages", async (t) => {
  const folder = work(t);
  const file = path.join(folder, "tiny.deb");
  writeFileSync(file, tinyDebXz);
  const abort = new AbortController();
  const running = unpackDebs([file, file], path.join(folder, "tree"), {
    signal: abort.signal,
    onPackage: () => abort.abort(new Error("enough")),
  });
  await assert.rejects(running, /enough/);
});

test("a folder that cannot be written is a fault of its own", { skip: process.getuid?.() === 0 }, async (t) => {
  const folder = work(t);
  const file = path.join(folder, "tiny.deb");
  writeFileSync(file, tinyDebXz);
  const closed = path.join(folder, "closed");
  await unpackDebs([], closed);
  chmodSync(closed, 0o555);
  await assert.rejects(unpackDebs([file], closed), { code: "E_READ_ONLY", message: /closed cannot be written/ });
  chmodSync(closed, 0o755);
});
