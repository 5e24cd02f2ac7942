import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { createFile, replaceFile } from "../../src/host/replace-file.ts";
import { temporaryFolder } from "../forge/rig.ts";

test("a file is replaced as a whole, and nothing is left beside it", (t) => {
  const folder = temporaryFolder(t);
  const file = path.join(folder, "file");
  replaceFile(file, "old");
  const { ino } = statSync(file);
  replaceFile(file, "new", { mode: 0o600, flush: true });
  assert.equal(readFileSync(file, "utf8"), "new");
  assert.notEqual(statSync(file).ino, ino, "who has it open still reads the old one");
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(folder), ["file"]);
});

test("a file that is there is not created again, and stays as it is", (t) => {
  const folder = temporaryFolder(t);
  const file = path.join(folder, "file");
  assert.equal(createFile(file, "first", { mode: 0o600 }), true);
  assert.equal(createFile(file, "second"), false);
  assert.equal(readFileSync(file, "utf8"), "first");
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(folder), ["file"]);
});

test("when it cannot be put in its place, the draft is gone", (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(path.join(folder, "file/inside"), { recursive: true });
  assert.throws(() => replaceFile(path.join(folder, "file"), "text"), { code: "EISDIR" });
  assert.deepEqual(readdirSync(folder), ["file"]);
  assert.throws(() => replaceFile(path.join(folder, "absent/file"), "text"), { code: "ENOENT" });
});

test("a file that nobody may write is replaced all the same: its folder decides", (t) => {
  const folder = temporaryFolder(t);
  const file = path.join(folder, "file");
  writeFileSync(file, "old");
  chmodSync(file, 0o444);
  replaceFile(file, "new");
  assert.equal(readFileSync(file, "utf8"), "new");
});
