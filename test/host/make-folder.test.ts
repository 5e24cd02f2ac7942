import assert from "node:assert/strict";
import { statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { makeFolder } from "../../src/host/make-folder.ts";
import { temporaryFolder } from "../forge/rig.ts";

test("a folder is made with those above it, and made again without a word", (t) => {
  const top = temporaryFolder(t);
  const folder = path.join(top, "a/b/c");
  makeFolder(folder, 0o700);
  makeFolder(folder, 0o700);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  assert.equal(statSync(path.join(top, "a")).mode & 0o777, 0o700);
});

test("what is in the way is told by the error of the system", (t) => {
  const file = path.join(temporaryFolder(t), "file");
  writeFileSync(file, "");
  assert.throws(() => makeFolder(file, 0o755), { code: "EEXIST" });
  assert.throws(() => makeFolder(path.join(file, "below"), 0o755), { code: "ENOTDIR" });
});
