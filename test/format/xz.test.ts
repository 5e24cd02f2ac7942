import assert from "node:assert/strict";
import { once } from "node:events";
import { Readable } from "node:stream";
import { test } from "node:test";
import { FormatError } from "../../src/format/format-error.ts";
import { unxz } from "../../src/format/xz.ts";

/** `printf 'hello %.0s' $(seq 1000) | xz -9e` */
const hello = Buffer.from(
  "/Td6WFoAAATm1rRGAgAhARwAAAAQz1jM4BdvACddADQZSe6N6V/B8PcXRFCFYsMIgtxhE2Az4ZG1aVMlHrpxT6vr+2SMAAAApDhn" +
    "PLRAo+gAAUPwLgAAAE8kQEKxxGf7AgAAAAAEWVo=",
  "base64",
);
/** `head -c 300 /dev/zero | xz --check=crc32` */
const zeros = Buffer.from(
  "/Td6WFoAAAFpIt42AgAhARYAAAB0L+Wj4AErAAhdAABv/ffBDSAAANKPNLUAASCsAgAAAPdrJ9s+MA2LAgAAAAABWVo=",
  "base64",
);

async function all(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

test("a stream of the xz program is decompressed, however it is cut into pieces", async () => {
  assert.equal((await all(unxz(Readable.from([hello])))).toString(), "hello ".repeat(1000));
  const bytes = [...hello].map((byte) => Buffer.from([byte]));
  assert.equal((await all(unxz(Readable.from(bytes)))).toString(), "hello ".repeat(1000));
});

test("a stream with the check that packages use is decompressed", async () => {
  assert.deepEqual(await all(unxz(Readable.from([zeros]))), Buffer.alloc(300));
});

test("several streams at the same time do not mix", async () => {
  const streams = Array.from({ length: 4 }, (_, index) => all(unxz(Readable.from([index % 2 ? hello : zeros]))));
  const sizes = (await Promise.all(streams)).map((bytes) => bytes.length);
  assert.deepEqual(sizes, [300, 6000, 300, 6000]);
});

test("a truncated, damaged, empty or other stream is a FormatError, and the next one works", async () => {
  const damaged = Buffer.from(hello);
  damaged[60] = (damaged[60] ?? 0) ^ 1;
  for (const bytes of [hello.subarray(0, 50), damaged, Buffer.alloc(0), Buffer.from("no xz stream at all")]) {
    await assert.rejects(all(unxz(Readable.from([bytes]))), FormatError);
  }
  assert.equal((await all(unxz(Readable.from([hello])))).length, 6000);
});

test("a stream that is given up does not hold up the next", async () => {
  const first = unxz(Readable.from([hello]));
  const waiting = unxz(Readable.from([hello]));
  first.once("data", () => first.destroy());
  await once(first, "close");
  waiting.destroy();
  assert.equal((await all(unxz(Readable.from([hello])))).length, 6000);
});
