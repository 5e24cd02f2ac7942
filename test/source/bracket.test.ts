import assert from "node:assert/strict";
import { test } from "node:test";
import type { Component } from "../../src/recipe/channel.ts";
import { brackets, bracketTable, isBracketed, type BuiltChannel } from "../../src/source/bracket.ts";

const pin = (version: string): Component => ({ version, archive: "pool/x", verified: "signed", licence: "MIT" });
const asked = (versions: Record<string, string>) => ({
  components: Object.fromEntries(Object.entries(versions).map(([name, version]) => [name, pin(version)])),
});

const built: BuiltChannel[] = [
  { name: "near", versions: { linux: "6.12.107", musl: "1.2.5", zlib: "1.3.1" } },
  { name: "old", versions: { linux: "6.1.176", musl: "1.2.3", zlib: "1.2.13", editor: "3.1-20221030" } },
  { name: "new", versions: { linux: "6.18.15", musl: "1.2.6", zlib: "1.3.1" } },
];

test("the nearest built version counts on either side, by numbers and not by letters", () => {
  const [linux] = brackets(asked({ linux: "6.6.126" }), built);
  assert.deepEqual(linux, {
    component: "linux",
    version: "6.6.126",
    same: undefined,
    older: { version: "6.1.176", channels: ["old"] },
    newer: { version: "6.12.107", channels: ["near"] },
  });
  assert.ok(linux !== undefined && isBracketed(linux));
});

test("the same version needs no neighbours, and all channels that were built with it are named", () => {
  const [zlib] = brackets(asked({ zlib: "1.3.1" }), built);
  assert.deepEqual(zlib?.same, { version: "1.3.1", channels: ["near", "new"] });
  assert.deepEqual(zlib.older, { version: "1.2.13", channels: ["old"] });
  assert.equal(zlib.newer, undefined);
  assert.ok(isBracketed(zlib));
});

test("what was built on one side only, or nowhere, is not bracketed", () => {
  const rows = brackets(asked({ editor: "3.1-20250104", grub: "2.12", musl: "1.2.4" }), built);
  assert.deepEqual(
    rows.map((row) => [row.component, isBracketed(row)]),
    [
      ["editor", false],
      ["grub", false],
      ["musl", true],
    ],
  );
});

test("the table has a line for each component", () => {
  assert.equal(
    bracketTable("asked", brackets(asked({ zlib: "1.3.1", grub: "2.12", linux: "6.6.126" }), built)),
    [
      "| component | asked | the same, built in | nearest older | nearest newer |",
      "| --- | --- | --- | --- | --- |",
      "| grub | 2.12 | – | – | – |",
      "| linux | 6.6.126 | – | 6.1.176 (old) | 6.12.107 (near) |",
      "| zlib | 1.3.1 | near, new | 1.2.13 (old) | – |",
      "",
    ].join("\n"),
  );
});
