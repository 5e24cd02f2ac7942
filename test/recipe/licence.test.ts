import assert from "node:assert/strict";
import { test } from "node:test";
import { allOf, isLicence } from "../../src/recipe/licence.ts";

test("what consists of several parts has each of their licences once, in brackets where one leaves a choice", () => {
  assert.equal(allOf("MIT"), "MIT");
  assert.equal(allOf("MIT AND Zlib", "Zlib", "Apache-2.0 AND MIT"), "Apache-2.0 AND MIT AND Zlib");
  assert.equal(allOf("0BSD", "MIT OR Apache-2.0"), "(MIT OR Apache-2.0) AND 0BSD");
  assert.equal(allOf("(MIT OR Apache-2.0) AND ISC", "MIT OR Apache-2.0"), "(MIT OR Apache-2.0) AND ISC");
  assert.equal(allOf("MIT OR (ISC AND Zlib)"), "(MIT OR ISC AND Zlib)");
  assert.equal(
    allOf("GPL-2.0-only WITH Linux-syscall-note AND CDDL-1.0", "GPL-2.0-only"),
    "CDDL-1.0 AND GPL-2.0-only AND GPL-2.0-only WITH Linux-syscall-note",
  );
});

test("what is no SPDX expression is refused", () => {
  for (const text of [
    "",
    "MIT,",
    "MIT ISC",
    "AND MIT",
    "MIT AND",
    "(MIT",
    "MIT)",
    "MIT WITH",
    "GPL v2",
    "MIT and ISC",
  ]) {
    assert.equal(isLicence(text), false, text);
    assert.throws(() => allOf("MIT", text), text);
  }
  for (const text of ["LicenseRef-ours", "GPL-2.0+", "((MIT))"]) assert.equal(isLicence(text), true, text);
});
