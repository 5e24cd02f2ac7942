import assert from "node:assert/strict";
import { test } from "node:test";
import { closure, readPackages, type PackageIndex } from "../../src/source/closure.ts";

type Fields = Record<string, string>;

/** A `Packages` index of these packages; whatever a test does not name has a value that says nothing. */
function index(...packages: Fields[]): PackageIndex {
  const text = packages.map((fields) => {
    const name = fields["Package"] ?? "";
    const all = { Version: "1", Filename: `pool/${name}.deb`, SHA256: name, Size: "10", ...fields };
    return Object.entries(all)
      .map(([key, value]) => `${key}: ${value}\n`)
      .join("");
  });
  return readPackages(text.join("\n"));
}

const names = (found: PackageIndex, ...wanted: string[]): string[] =>
  closure(found, wanted).map((each) => each.package);

test("a closure follows Depends and Pre-Depends, ends at cycles, and leaves Recommends out", () => {
  const found = index(
    { Package: "a", Depends: "b:any (>= 1), c [amd64]", Recommends: "r" },
    { Package: "b", "Pre-Depends": "d" },
    { Package: "c", Depends: "a" },
    { Package: "d" },
    { Package: "r" },
  );
  assert.deepEqual(names(found, "a"), ["a", "b", "c", "d"]);
  assert.deepEqual(closure(found, ["d"]), [
    { package: "d", version: "1", archive: "pool/d.deb", sha256: "d", size: 10 },
  ]);
});

test("the first alternative that exists is taken, unless another is in the set anyway", () => {
  const found = index(
    { Package: "a", Depends: "absent | first | second" },
    { Package: "first" },
    { Package: "second" },
    { Package: "b", Depends: "second" },
  );
  assert.deepEqual(names(found, "a"), ["a", "first"]);
  assert.deepEqual(names(found, "a", "b"), ["a", "b", "second"]);
  assert.deepEqual(names(found, "b", "a"), ["a", "b", "second"]);
});

test("a virtual package is resolved to a provider in the set, or to that of the highest priority", () => {
  const found = index(
    { Package: "base", Depends: "awk" },
    { Package: "gawk", Provides: "awk", Priority: "optional" },
    { Package: "mawk", Provides: "awk", Priority: "required" },
  );
  assert.deepEqual(names(found, "base"), ["base", "mawk"]);
  assert.deepEqual(names(found, "base", "gawk"), ["base", "gawk"]);
});

test("a versioned dependency is not met by an older package or an unversioned provision", () => {
  const found = index(
    { Package: "a", Depends: "lib (>= 2)" },
    { Package: "lib", Version: "1.9" },
    { Package: "other", Provides: "lib" },
    { Package: "fork", Provides: "lib (= 2.1)" },
  );
  assert.deepEqual(names(found, "a"), ["a", "fork"]);
});

test("of several versions of a package the newest is known", () => {
  const found = index(
    { Package: "a", Version: "1.10" },
    { Package: "a", Version: "1.9" },
    { Package: "a", Version: "1.2" },
  );
  assert.equal(closure(found, ["a"])[0]?.version, "1.10");
});

test("what the archive cannot give is a fault that says who needs it", () => {
  const found = index({ Package: "a", Depends: "b (>> 2) | c" }, { Package: "b" });
  assert.throws(() => closure(found, ["zsh"]), { code: "E_PACKAGE", message: "the archive has no package zsh" });
  assert.throws(() => closure(found, ["a"]), {
    code: "E_PACKAGE",
    message: "package a needs what the archive does not have: b (>> 2) | c",
  });
});
