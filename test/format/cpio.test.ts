import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf } from "../../src/format/byte-source.ts";
import { encodeCpio, readCpio, type CpioEntry } from "../../src/format/cpio.ts";
import { FormatError } from "../../src/format/format-error.ts";

const mtime = 1_700_000_000;
const file = (name: string, text: string): CpioEntry => ({
  kind: "file",
  path: name,
  mode: 0o755,
  mtime,
  size: Buffer.byteLength(text),
  data: () => [Buffer.from(text)],
});
const folder = (name: string): CpioEntry => ({ kind: "folder", path: name, mode: 0o755, mtime });

async function collect(parts: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of parts) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const trailer = `070701${"0".repeat(32)}00000001${"0".repeat(48)}0000000B${"0".repeat(8)}TRAILER!!!\0`;

test("the bytes are those of the kernel's buffer format", async () => {
  const bytes = await collect(encodeCpio([file("init", "hello")]));
  const header = [
    "070701", // magic
    "00000001", // inode
    "000081ED", // mode: regular file, 0755
    "00000000", // uid
    "00000000", // gid
    "00000001", // links
    "6553F100", // mtime
    "00000005", // size
    "00000000", // device major
    "00000000", // device minor
    "00000000", // rdev major
    "00000000", // rdev minor
    "00000005", // name size, with its NUL
    "00000000", // checksum
  ].join("");
  const expected = Buffer.alloc(512);
  // header and name end at 115, so the data starts at 116; it ends at 121, so the trailer starts at 124
  expected.write(`${header}init\0`, 0, "latin1");
  expected.write("hello", 116, "latin1");
  expected.write(trailer, 124, "latin1");
  assert.deepEqual(bytes, expected);
});

test("entries are sorted by the bytes of their paths, folders first, inodes counted from 1", async () => {
  const entries: CpioEntry[] = [
    file("b", "x"),
    file("a/b", "y"),
    folder("a"),
    file("a-b", "z"),
    file("a/é", ""),
    file("B", ""),
  ];
  const bytes = await collect(encodeCpio(entries));
  const records = [...readCpio(bytesOf(bytes))];
  assert.deepEqual(
    records.map((record) => [record.inode, record.path]),
    [
      [1, "B"],
      [2, "a"],
      [3, "a-b"],
      [4, "a/b"],
      [5, "a/é"],
      [6, "b"],
    ],
  );
  assert.deepEqual(await collect(encodeCpio(entries.reverse())), bytes);
  assert.equal(bytes.length % 512, 0);
});

test("links, nodes, owners and modes come back as they went in", async () => {
  const bytes = await collect(
    encodeCpio([
      folder("dev"),
      { kind: "character-device", path: "dev/console", mode: 0o600, mtime, major: 5, minor: 1 },
      { kind: "block-device", path: "dev/loop0", mode: 0o660, mtime, uid: 7, gid: 6, major: 7, minor: 0 },
      { kind: "link", path: "sh", mode: 0o777, mtime, target: "busybox" },
      { ...file("su", "…"), mode: 0o4755 },
    ]),
  );
  const [dev, console, loop, sh, su] = [...readCpio(bytesOf(bytes))];
  assert.equal(dev?.mode, 0o040755);
  assert.equal(dev?.links, 2);
  assert.equal(console?.mode, 0o020600);
  assert.deepEqual(console?.rdev, { major: 5, minor: 1 });
  assert.equal(loop?.mode, 0o060660);
  assert.deepEqual([loop?.uid, loop?.gid, loop?.size, loop?.mtime], [7, 6, 0, mtime]);
  assert.equal(sh?.mode, 0o120777);
  assert.equal(bytes.toString("utf8", sh?.offset, (sh?.offset ?? 0) + (sh?.size ?? 0)), "busybox");
  assert.equal(su?.mode, 0o104755);
  assert.equal(su?.size, 3);
});

for (const [what, entries] of [
  ["two entries of one path", [file("a", ""), file("a", "")]],
  ["an entry without its folder", [file("a/b", "")]],
  ["an entry below a file", [file("a", ""), file("a/b", "")]],
  ["an absolute path", [file("/a", "")]],
  ["a path out of the root", [file("../a", "")]],
  ["the name of the trailer", [file("TRAILER!!!", "")]],
  ["a path that the kernel skips as too long", [file("a".repeat(4096), "")]],
  ["type bits in the mode", [{ ...file("a", ""), mode: 0o100644 }]],
  ["a time before 1970", [{ ...file("a", ""), mtime: -1 }]],
  ["a link to nothing", [{ kind: "link", path: "a", mode: 0o777, mtime, target: "" }]],
  ["a file of 4 GiB", [{ ...(file("a", "") as CpioEntry & { kind: "file" }), size: 2 ** 32 }]],
] as [string, CpioEntry[]][]) {
  test(`${what} is refused before the first byte`, async () => {
    const bytes = encodeCpio(entries)[Symbol.asyncIterator]();
    await assert.rejects(() => bytes.next(), FormatError);
  });
}

test("data that is not of the size announced is refused", async () => {
  const entry = file("a", "abc") as CpioEntry & { kind: "file" };
  await assert.rejects(() => collect(encodeCpio([{ ...entry, size: 2 }])), /more than the 2 bytes/);
  await assert.rejects(() => collect(encodeCpio([{ ...entry, size: 4 }])), /fewer than the 4 bytes/);
});

test("every truncation and every bad header of an archive is a FormatError", async () => {
  const bytes = await collect(encodeCpio([folder("a"), file("a/b", "text")]));
  const end = bytes.indexOf("TRAILER!!!") + 11;
  for (let length = 0; length < end; length++) {
    assert.throws(() => [...readCpio(bytesOf(bytes.subarray(0, length)))], FormatError, `${length} bytes`);
  }
  for (const at of [0, 5, 20, 94, 101]) {
    const broken = Buffer.from(bytes);
    broken.write("g", at, "latin1");
    assert.throws(() => [...readCpio(bytesOf(broken))], FormatError, `byte ${at}`);
  }
});
