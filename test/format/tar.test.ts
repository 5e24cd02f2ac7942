import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { checkEntry, tarEntries } from "../../src/format/tar.ts";
import { buildTar } from "./tar-builder.ts";

async function text(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** Of the first header. */
function renewChecksum(tar: Buffer): void {
  tar.write("        ", 148);
  const sum = tar.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  tar.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
}

test("entries come in order with their names normalised, and may be read or passed over", async () => {
  const long = `${"folder/".repeat(40)}file`;
  const tar = await buildTar([
    { name: "./", type: "directory" },
    { name: "./a/", type: "directory", mode: 0o700 },
    { name: "./a/skipped", data: "x".repeat(5000) },
    { name: "a/read", data: "read", mode: 0o4755 },
    { name: "./a/soft", type: "symlink", target: "./read" },
    { name: "a/hard", type: "link", target: "./a/read" },
    { name: long, data: "deep" },
  ]);
  const seen: unknown[] = [];
  for await (const { name, type, mode, size, target, body } of tarEntries(Readable.from([tar]))) {
    const content = name.endsWith("skipped") ? size : await text(body);
    seen.push([name, type, mode.toString(8), target, content]);
  }
  assert.deepEqual(seen, [
    ["", "directory", "755", "", ""],
    ["a", "directory", "700", "", ""],
    ["a/skipped", "file", "644", "", 5000],
    ["a/read", "file", "4755", "", "read"],
    ["a/soft", "symlink", "644", "./read", ""],
    ["a/hard", "link", "644", "a/read", ""],
    [long, "file", "644", "", "deep"],
  ]);
});

test("an archive from before ustar is read", async () => {
  const tar = await buildTar([{ name: "old", data: "old" }]);
  tar.fill(0, 257, 265);
  renewChecksum(tar);
  for await (const { name, body } of tarEntries(Readable.from([tar]))) {
    assert.equal(name, "old");
    assert.equal(await text(body), "old");
  }
});

test("an entry of an unknown type is seen as such", async () => {
  const tar = await buildTar([{ name: "a", data: "x" }]);
  tar.write("Z", 156);
  renewChecksum(tar);
  for await (const entry of tarEntries(Readable.from([tar]))) {
    assert.equal(entry.type, "unknown");
    assert.match(checkEntry(entry) ?? "", /neither file, folder nor link/);
  }
});

test("a truncated or damaged archive is an error", async () => {
  const tar = await buildTar([{ name: "a", data: "x".repeat(5000) }]);
  const damaged = Buffer.from(tar);
  damaged[0] = 1 + (damaged[0] ?? 0);
  for (const bytes of [tar.subarray(0, 3000), damaged, Buffer.alloc(2000, "no tar archive")]) {
    await assert.rejects(async () => {
      for await (const { body } of tarEntries(Readable.from([bytes]))) await text(body);
    });
  }
});

test("an error of the stream that an archive comes from is handed on", async () => {
  const tar = await buildTar([{ name: "a", data: "x".repeat(5000) }]);
  function* breaking(): Generator<Buffer> {
    yield tar.subarray(0, 1000);
    throw new Error("cable cut");
  }
  await assert.rejects(async () => {
    for await (const { body } of tarEntries(Readable.from(breaking()))) await text(body);
  }, /cable cut/);
});

test("names that leave the archive's folder and devices are refused", () => {
  const refused = [
    { name: "/etc/passwd", type: "file", target: "" },
    { name: "../up", type: "file", target: "" },
    { name: "a/../../up", type: "directory", target: "" },
    { name: "a/..", type: "symlink", target: "x" },
    { name: "a", type: "link", target: "/etc/passwd" },
    { name: "a", type: "link", target: "b/../../c" },
    { name: "a", type: "character-device", target: "" },
    { name: "a", type: "block-device", target: "" },
    { name: "a", type: "fifo", target: "" },
    { name: "a", type: "unknown", target: "" },
  ] as const;
  for (const entry of refused) assert.notEqual(checkEntry(entry), undefined, JSON.stringify(entry));
  const harmless = [
    { name: "a/..b/c..", type: "file", target: "" },
    { name: "a", type: "link", target: "b/c" },
    { name: "a", type: "symlink", target: "/checked/elsewhere" },
    { name: "a", type: "directory", target: "" },
  ] as const;
  for (const entry of harmless) assert.equal(checkEntry(entry), undefined, JSON.stringify(entry));
});
