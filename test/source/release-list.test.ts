import assert from "node:assert/strict";
import { test } from "node:test";
import { checksumOf } from "../../src/source/checksums.ts";
import { fill, versionsIn } from "../../src/source/release-list.ts";

const named = (entry: string, series?: string): Parameters<typeof versionsIn>[1] => ({
  entry,
  urls: [],
  ...(series !== undefined && { series }),
});

test("versions are found in the listing of a folder, newest first, of the series alone", () => {
  const page = ["6.6.9", "6.6.126", "6.6.13", "6.12.1", "6.6.126", "6.60.1"]
    .map((version) => `<a href="linux-${version}.tar.xz">linux-${version}.tar.xz</a>  10-Jan-2026 138M`)
    .join("\n");
  const linux = { urls: ["https://site.example/v6.x/linux-{version}.tar.xz"], series: "6.6." };
  assert.deepEqual(versionsIn(page, linux), ["6.6.126", "6.6.13", "6.6.9"]);
});

test("what only looks like a release is none: candidates, patches, signatures of other files", () => {
  const page = ["patch-1.2.7.xz", "my-tool-1.2.8.tar.xz", "tool-1.2.9-rc1.tar.xz", "tool-1.2.3.tar.xz.sig"].join(" ");
  const tool = { urls: ["https://site.example/tool-{version}.tar.xz"], series: "1.2." };
  assert.deepEqual(versionsIn(page, tool), []);
  assert.deepEqual(versionsIn(`${page} "tool-1.2.6.tar.xz"`, tool), ["1.2.6"]);
});

test("versions are found in the refs of a git server", () => {
  const hash = "0".repeat(40);
  const refs = ["heads/main", "tags/v1.14.4", "tags/v1.14.4^{}", "tags/v1.14.5-rc1", "tags/v1.15.0", "tags/v1.14.10"]
    .map((ref) => `003f${hash} refs/${ref}\n`)
    .join("");
  assert.deepEqual(versionsIn(refs, named("refs/tags/v{version}", "1.14.")), ["1.14.10", "1.14.4"]);
});

test("versions are found as names of folders, and in a list of checksums", () => {
  const folders = '<a href="v16.15/">v16.15/</a> <a href="v16.9/">v16.9/</a> <a href="v17.1/">v17.1/</a>';
  assert.deepEqual(versionsIn(folders, named("v{version}/", "16.")), ["16.15", "16.9"]);
  const sums = `${"a".repeat(64)}  musl-1.2.5.tar.gz\n${"b".repeat(64)} *musl-1.2.6.tar.gz\n`;
  assert.deepEqual(versionsIn(sums, named("musl-{version}.tar.gz", "1.2.")), ["1.2.6", "1.2.5"]);
});

test("a name may have the parts of a version in another order", () => {
  const edit = named("libedit-{rest}-3.1.tar.gz", "3.1-");
  assert.deepEqual(versionsIn("libedit-20250104-3.1.tar.gz libedit-20251016-3.1.tar.gz", edit), [
    "3.1-20251016",
    "3.1-20250104",
  ]);
  assert.equal(fill("libedit-{rest}-3.1.tar.gz", "3.1-20251016", "3.1-"), "libedit-20251016-3.1.tar.gz");
  assert.equal(fill("v{version}/x-{version}.tar", "16.15"), "v16.15/x-16.15.tar");
});

const one = "1".repeat(64);
const two = "2".repeat(64);
const long = "3".repeat(128);

test("a checksum is found by the name of its file, in each usual form", () => {
  const cases = [
    `${one}  x-1.tar.gz\n${two}  y-1.tar.gz\n`,
    `${one} *./folder/x-1.tar.gz\r\n`,
    `SHA256 (x-1.tar.gz) = ${one}\nSHA512 (x-1.tar.gz) = ${long}\n`,
    `SHA256(x-1.tar.gz)= ${one.toUpperCase()}`,
    `${one}\n`,
    `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n${one}  x-1.tar.gz\n-----BEGIN PGP SIGNATURE-----\n\nabc=\n`,
  ];
  for (const list of cases) assert.deepEqual(checksumOf(list, "x-1.tar.gz"), { algorithm: "sha256", hash: one }, list);
  assert.deepEqual(checksumOf(`${long}  x-1.tar.gz`, "x-1.tar.gz"), { algorithm: "sha512", hash: long });
});

test("a list without the file says nothing, and one that contradicts itself is told", () => {
  assert.equal(checksumOf(`${one}  y-1.tar.gz\n`, "x-1.tar.gz"), undefined);
  assert.equal(checksumOf(`${one}\n${two}\n`, "x-1.tar.gz"), undefined);
  assert.equal(checksumOf("<html>not found</html>", "x-1.tar.gz"), undefined);
  assert.equal(checksumOf(`${"1".repeat(40)}  x-1.tar.gz`, "x-1.tar.gz"), undefined);
  assert.throws(
    () => checksumOf(`${one}  x-1.tar.gz\n${two}  x-1.tar.gz\n`, "x-1.tar.gz"),
    /2 different sha256 hashes/,
  );
});
