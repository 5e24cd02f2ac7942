import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf } from "../../src/format/byte-source.ts";
import { findDebData } from "../../src/format/deb.ts";
import { FormatError } from "../../src/format/format-error.ts";
import { buildAr } from "./elf-builder.ts";
import { tinyDebGz, tinyDebXz, tinyDebZst } from "./tiny-deb.ts";

test("the data of packages that dpkg-deb made is found, with its compression", () => {
  for (const [deb, compression, magic] of [
    [tinyDebXz, "xz", "fd377a585a00"],
    [tinyDebGz, "gz", "1f8b"],
    [tinyDebZst, "zst", "28b52ffd"],
  ] as const) {
    const data = findDebData(bytesOf(deb));
    assert.equal(data.compression, compression);
    const bytes = deb.subarray(data.start, data.start + data.size);
    assert.equal(bytes.subarray(0, magic.length / 2).toString("hex"), magic);
    assert.ok(data.start + data.size <= deb.length);
  }
});

test("an uncompressed data.tar is found behind a member of odd length", () => {
  const deb = buildAr({ "debian-binary": Buffer.from("2.0"), "data.tar": Buffer.from("data") });
  const { compression, start, size } = findDebData(bytesOf(deb));
  assert.equal(compression, "none");
  assert.equal(Buffer.from(deb.subarray(start, start + size)).toString(), "data");
});

test("what is no package is a FormatError", () => {
  const bad = [
    Buffer.alloc(0),
    Buffer.from("a text"),
    tinyDebXz.subarray(0, tinyDebXz.length - 20),
    buildAr({ "debian-binary": Buffer.from("2.0\n") }),
    buildAr({ "data.tar.lzma": Buffer.from("x") }),
  ];
  for (const bytes of bad) assert.throws(() => findDebData(bytesOf(bytes)), FormatError);
});
