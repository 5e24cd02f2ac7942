import assert from "node:assert/strict";
import { test } from "node:test";
import { listedFiles, paragraphs } from "../../src/source/control.ts";

test("paragraphs end at empty lines, fields go on over indented ones", () => {
  const text =
    "\n\nPackage: a\nDescription: short\n long\n .\n\tmore\n# comment\nSize:  5 \n\n \nPackage: b\r\nX:\r\n y\r\n";
  const found = [...paragraphs(text)].map((fields) => Object.fromEntries(fields));
  assert.deepEqual(found, [
    { package: "a", description: "short\nlong\n.\nmore", size: "5" },
    { package: "b", x: "\ny" },
  ]);
});

test("lines that fit no syntax are passed over", () => {
  assert.deepEqual(
    [...paragraphs(" lost\nno colon\n: no name\nA: 1")].map((fields) => [...fields]),
    [[["a", "1"]]],
  );
  assert.deepEqual([...paragraphs("")], []);
});

test("a list of files gives hash, size and path of each", () => {
  assert.deepEqual(listedFiles("\nabc 12 main/source/Sources\ndef   3 x\nbroken line"), [
    { sha256: "abc", size: 12, path: "main/source/Sources" },
    { sha256: "def", size: 3, path: "x" },
  ]);
  assert.deepEqual(listedFiles(undefined), []);
});
