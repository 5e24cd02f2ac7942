import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { checkArchive } from "../../src/source/archive.ts";
import { buildTar, type TarItem } from "../format/tar-builder.ts";

async function check(...items: TarItem[]): Promise<void> {
  await checkArchive(Readable.from([await buildTar(items)]), "zfs.tar");
}

const folder: TarItem = { name: "zfs/", type: "directory" };

test("a source archive as authors publish them passes", async () => {
  await check(
    { name: "zfs/", type: "directory" },
    { name: "zfs/configure", data: "#!/bin/sh\n", mode: 0o755 },
    { name: "zfs/doc/latest", type: "symlink", target: "../doc/2.3" },
    { name: "zfs/hard", type: "link", target: "zfs/configure" },
  );
});

test("an archive that reaches out of its folder is refused, and the fault names the entry", async () => {
  const cases: [item: TarItem, words: RegExp][] = [
    [{ name: "/etc/passwd" }, /"\/etc\/passwd" is absolute/],
    [{ name: "zfs/../../.profile" }, /"zfs\/\.\.\/\.\.\/\.profile" contains "\.\."/],
    [{ name: "zfs/out", type: "symlink", target: "" }, /"zfs\/out" leads nowhere/],
    [{ name: "zfs/out", type: "link", target: "../etc/passwd" }, /hard link "zfs\/out"/],
    [
      { name: "zfs/null", type: "character-device" },
      /"zfs\/null" is neither file, folder nor link \(character-device\)/,
    ],
  ];
  for (const [item, words] of cases) {
    await assert.rejects(check(folder, item), { code: "E_ARCHIVE", message: words });
  }
});

test("links to places of the author's machine pass", async () => {
  await check(
    folder,
    { name: "zfs/INSTALL", type: "symlink", target: "/usr/share/automake-1.16/INSTALL" },
    { name: "zfs/out", type: "symlink", target: "../../etc" },
    { name: "zfs/x/y/up", type: "symlink", target: "../.." },
    { name: "zfs/climbs", type: "symlink", target: "x/y/up/../.." },
    { name: "zfs/copy", type: "link", target: "zfs/INSTALL" },
    { name: "zfs/INSTALL.txt", data: "beside it" },
  );
});

test("nothing is unpacked behind a link of the same archive, wherever it leads", async () => {
  for (const target of [".", "/etc", "../../etc"]) {
    const link: TarItem = { name: "zfs/a", type: "symlink", target };
    const hard: TarItem = { name: "zfs/c", type: "link", target: "zfs/a" };
    const cases: [items: TarItem[], behind: string, link: string][] = [
      [[{ name: "zfs/a/b", data: "x" }], "zfs/a/b", "zfs/a"],
      [[{ name: "zfs/a/b/", type: "directory" }], "zfs/a/b", "zfs/a"],
      [[{ name: "zfs/./a//b", data: "x" }], "zfs/a/b", "zfs/a"],
      [[{ name: "zfs/b", type: "link", target: "zfs/a/passwd" }], "zfs/a/passwd", "zfs/a"],
      [[hard, { name: "zfs/c/b", data: "x" }], "zfs/c/b", "zfs/c"],
    ];
    for (const [items, behind, name] of cases) {
      await assert.rejects(check(folder, link, ...items), {
        code: "E_ARCHIVE",
        message: `zfs.tar is refused: "${behind}" lies behind the link "${name}"`,
      });
    }
  }
});

test("an archive that is truncated, empty or none at all is refused", async () => {
  const tar = await buildTar([{ name: "zfs/a", data: "x".repeat(5000) }]);
  for (const bytes of [tar.subarray(0, 2000), Buffer.alloc(1024), Buffer.alloc(3000, "text")]) {
    await assert.rejects(checkArchive(Readable.from([bytes]), "zfs.tar"), { code: "E_ARCHIVE", message: /^zfs\.tar / });
  }
});
