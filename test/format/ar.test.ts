import assert from "node:assert/strict";
import { test } from "node:test";
import { arMembers, isAr } from "../../src/format/ar.ts";
import { bytesOf } from "../../src/format/byte-source.ts";
import { FormatError } from "../../src/format/format-error.ts";
import { arHeader, buildAr } from "./elf-builder.ts";

const list = (bytes: Uint8Array): [string, string][] =>
  [...arMembers(bytesOf(bytes))].map((member) => [
    member.name,
    Buffer.from(bytes.subarray(member.offset, member.offset + member.size)).toString(),
  ]);
const archive = (...parts: (string | Uint8Array)[]): Uint8Array =>
  Buffer.concat(["!<arch>\n", ...parts].map((part) => (typeof part === "string" ? Buffer.from(part) : part)));

test("members of odd and even size are found with their data", () => {
  const bytes = buildAr({ "a.o": Buffer.from("abc"), "b.o": Buffer.from("de"), "c.o": new Uint8Array(0) });
  assert.deepEqual(list(bytes), [
    ["a.o", "abc"],
    ["b.o", "de"],
    ["c.o", ""],
  ]);
  assert.equal([...arMembers(bytesOf(bytes))][0]?.mode, 0o644);
});

test("the names of a Debian package have no slash at their end", () => {
  const bytes = archive(arHeader("debian-binary", 4), "2.0\n", arHeader("data.tar.xz", 1), "x");
  assert.deepEqual(list(bytes), [
    ["debian-binary", "2.0\n"],
    ["data.tar.xz", "x"],
  ]);
});

test("long names of GNU ar come from the table, and the symbol table is no member", () => {
  const names = "a_rather_long_name.o/\nanother_long_name.o/\n";
  const bytes = archive(
    arHeader("/", 2),
    "\0\0",
    arHeader("//", names.length),
    names,
    "\n", // padding of the odd table
    arHeader("/22", 2),
    "hi",
    arHeader("/0", 2),
    "ho",
  );
  assert.deepEqual(list(bytes), [
    ["another_long_name.o", "hi"],
    ["a_rather_long_name.o", "ho"],
  ]);
});

test("long names of BSD ar stand before the data", () => {
  const bytes = archive(arHeader("#1/20", 22), "a_rather_long_name.o", "hi");
  assert.deepEqual(list(bytes), [["a_rather_long_name.o", "hi"]]);
});

test("an archive without members is empty, other text is no archive", () => {
  assert.deepEqual(list(archive()), []);
  assert.equal(isAr(bytesOf(archive())), true);
  assert.equal(isAr(bytesOf(Buffer.from("!<ar"))), false);
  assert.equal(isAr(bytesOf(Buffer.from("not an archive"))), false);
});

for (const [what, bytes] of [
  ["other text", Buffer.from("not an archive")],
  ["a thin archive", Buffer.from("!<thin>\n")],
  ["half a header", archive(arHeader("a.o/", 0).subarray(0, 30))],
  ["a member that is cut off", archive(arHeader("a.o/", 10), "abc")],
  ["a size that is no number", archive(arHeader("a.o/", Number.NaN), "abc")],
  ["a header without its end", archive(arHeader("a.o/", 0).fill(0x20, 58))],
  ["a long name without a table", archive(arHeader("/0", 0))],
  ["a long name behind the table", archive(arHeader("//", 2), "a\n", arHeader("/99", 0))],
  ["a member without a name", archive(arHeader("", 0))],
  ["a BSD name longer than its member", archive(arHeader("#1/20", 4), "abcd")],
] as const) {
  test(`${what} is a FormatError`, () => {
    assert.throws(() => list(bytes), FormatError);
  });
}
