import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { mirrorReader, readIndex } from "../../src/source/archive-index.ts";
import { mirrorsAt } from "../../src/source/mirror.ts";
import { serve } from "./http-server.ts";

test("a release file or an index that is far too large is not read", async (t) => {
  const huge = await serve(t, (_request, response) => {
    response.writeHead(200, { "content-length": 2 ** 40 });
    response.write("-----BEGIN PGP SIGNED MESSAGE-----\n");
  });
  await assert.rejects(mirrorReader(mirrorsAt([huge.root]))("dists/trixie/InRelease"), { code: "E_DOWNLOAD_SIZE" });
  const text = Buffer.alloc(5_000_000, "Package: zlib\n\n");
  const suite = {
    name: "trixie",
    date: 0,
    signedBy: [],
    indexes: new Map([["main/Sources.gz", { path: "main/Sources.gz", sha256: "", size: 0 }]]),
  };
  const read = (): Promise<Buffer> => Promise.resolve(gzipSync(text));
  await assert.rejects(readIndex(read, suite, "main/Sources", 4_000_000), {
    code: "E_ARCHIVE_INDEX",
    message: "main/Sources unpacks to more than 4000000 bytes",
  });
  assert.equal((await readIndex(read, suite, "main/Sources", 5_000_000)).length, text.length);
});
