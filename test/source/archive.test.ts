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
    [{ name: "zfs/out", type: "symlink", target: "/etc" }, /"zfs\/out" leads to "\/etc", which is absolute/],
    [{ name: "zfs/out", type: "symlink", target: "../../etc" }, /leads to "\.\.\/\.\.\/etc", which is outside/],
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

test("an entry behind a link of the same archive is refused", async () => {
  await assert.rejects(check(folder, { name: "zfs/a", type: "symlink", target: "." }, { name: "zfs/a/b", data: "x" }), {
    code: "E_ARCHIVE",
    message: /"zfs\/a\/b" lies behind the link "zfs\/a"/,
  });
});

test("a hard link to a symbolic link is one more symbolic link, at another place", async () => {
  const link: TarItem = { name: "zfs/x/y/link", type: "symlink", target: "../../a" };
  await check(folder, link, { name: "zfs/b/c/again", type: "link", target: "zfs/x/y/link" });
  // from there it leads out
  await assert.rejects(check(folder, link, { name: "again", type: "link", target: "zfs/x/y/link" }), {
    code: "E_ARCHIVE",
    message: /link "again" leads to "..\/..\/a", which is outside/,
  });
  // and nothing may be unpacked through it
  const again: TarItem = { name: "zfs/x/again", type: "link", target: "zfs/x/y/link" };
  for (const behind of ["zfs/x/again/file", "zfs/x/./again//file"]) {
    await assert.rejects(check(folder, link, again, { name: behind, data: "x" }), {
      code: "E_ARCHIVE",
      message: /"zfs\/x\/again\/file" lies behind the link "zfs\/x\/again"/,
    });
  }
  const third: TarItem = { name: "zfs/x/third", type: "link", target: "zfs/x/again" };
  await assert.rejects(check(folder, link, again, third, { name: "zfs/x/third/file", data: "x" }), /lies behind/);
});

test("a hard link to what lies behind a link is refused", async () => {
  const link: TarItem = { name: "zfs/link", type: "symlink", target: "." };
  await assert.rejects(check(folder, link, { name: "zfs/hard", type: "link", target: "zfs/link/configure" }), {
    code: "E_ARCHIVE",
    message: /"zfs\/link\/configure" lies behind the link "zfs\/link"/,
  });
});

test("a name is judged by its place, however it is written", async () => {
  await assert.rejects(check(folder, { name: "zfs/././out", type: "symlink", target: "../../etc" }), /outside/);
  await assert.rejects(check(folder, { name: "zfs//.///out", type: "symlink", target: "../../etc" }), /outside/);
  await assert.rejects(
    check(folder, { name: "zfs/./a", type: "symlink", target: "." }, { name: "zfs/a/./b", data: "x" }),
    /lies behind/,
  );
  await assert.rejects(check(folder, { name: "/./etc/passwd", data: "x" }), /is absolute/);
});

test("a link that would climb out from behind another link is refused", async () => {
  const deep: TarItem = { name: "zfs/x/y/up", type: "symlink", target: "../.." };
  await assert.rejects(check(folder, deep, { name: "zfs/out", type: "symlink", target: "x/y/up/../.." }), {
    code: "E_ARCHIVE",
    message: /climbs after it descended/,
  });
});

test("an archive that is truncated, empty or none at all is refused", async () => {
  const tar = await buildTar([{ name: "zfs/a", data: "x".repeat(5000) }]);
  for (const bytes of [tar.subarray(0, 2000), Buffer.alloc(1024), Buffer.alloc(3000, "text")]) {
    await assert.rejects(checkArchive(Readable.from([bytes]), "zfs.tar"), { code: "E_ARCHIVE", message: /^zfs\.tar / });
  }
});
