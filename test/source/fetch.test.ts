import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { Fault } from "../../src/fault/fault.ts";
import { download, urlsFor, type Download, type StartTimer } from "../../src/source/fetch.ts";
import { mirrorsAt } from "../../src/source/mirror.ts";
import { file, inTurn, refusingRoot, serve, status, type Answer } from "./http-server.ts";

const bytes = Buffer.alloc(300_000, "anvil and hammer ");
const other = Buffer.alloc(300_000, "something else ");
const pin = { sha256: sha256(bytes), size: bytes.length };

/** Timers that ring when the test says so. */
class ManualTimers {
  private readonly running = new Set<() => void>();

  readonly start: StartTimer = (ring) => {
    this.running.add(ring);
    return { refresh: () => {}, stop: () => void this.running.delete(ring) };
  };

  ring(): void {
    for (const ring of this.running) ring();
  }
}

function sha256(data: Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}

function target(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), "anvil-fetch-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return path.join(folder, "sources/zfs.tar.gz");
}

function left(to: string): string[] {
  return readdirSync(path.dirname(to)).sort();
}

async function faultOf(request: Download): Promise<Fault> {
  const error: unknown = await download(request).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof Fault, `a fault, not ${String(error)}`);
  return error;
}

test("a file appears under its name with the pinned bytes, and nothing beside it", async (t) => {
  const server = await serve(t, file(bytes));
  const to = target(t);
  assert.deepEqual(await download({ urls: [`${server.root}/zfs.tar.gz`], to, ...pin }), pin);
  assert.deepEqual(readFileSync(to), bytes);
  assert.deepEqual(left(to), ["zfs.tar.gz"]);
});

test("a file with another hash is refused and nothing of it is kept", async (t) => {
  const server = await serve(t, file(other));
  const to = target(t);
  const fault = await faultOf({ urls: [`${server.root}/zfs.tar.gz`], to, sha256: pin.sha256 });
  assert.equal(fault.code, "E_SOURCE_HASH");
  assert.match(fault.message, /^zfs\.tar\.gz /);
  assert.deepEqual(fault.details.slice(0, 2), [`expected sha256 ${pin.sha256}`, `got      sha256 ${sha256(other)}`]);
  assert.deepEqual(left(to), []);
});

test("a file with another length is refused before its body is read", async (t) => {
  const server = await serve(t, file(bytes.subarray(1)));
  const to = target(t);
  const fault = await faultOf({ urls: [`${server.root}/zfs.tar.gz`], to, ...pin, name: "zfs-2.3.2.tar.gz" });
  assert.equal(fault.code, "E_SOURCE_HASH");
  assert.match(fault.message, /^zfs-2\.3\.2\.tar\.gz /);
  assert.deepEqual(fault.details.slice(0, 2), ["expected 300000 bytes", "got      299999 bytes"]);
  assert.deepEqual(left(to), []);
});

test("the next place is tried when one has other bytes, lacks the file or refuses connections", async (t) => {
  const wrong = await serve(t, file(other));
  const missing = await serve(t, status(404));
  const broken = await serve(t, status(503));
  const good = await serve(t, file(bytes));
  const roots = [wrong.root, missing.root, broken.root, await refusingRoot(), good.root];
  const retries: string[] = [];
  const to = target(t);
  await download({
    urls: urlsFor({ archive: "pool/z/zfs.tar.gz" }, mirrorsAt(roots)),
    to,
    ...pin,
    onRetry: (url, why) => retries.push(`${roots.indexOf(new URL(url).origin)}: ${why}`),
  });
  assert.deepEqual(readFileSync(to), bytes);
  assert.deepEqual(retries, [
    `0: other bytes, sha256 ${sha256(other)}`,
    "1: HTTP status 404",
    "2: HTTP status 503",
    "3: connection refused",
  ]);
  assert.deepEqual(good.requests, ["GET /pool/z/zfs.tar.gz"]);
});

test("when every place fails the fault has a line for each", async (t) => {
  const missing = await serve(t, status(404));
  const dead = await refusingRoot();
  const to = target(t);
  const fault = await faultOf({ urls: [`${missing.root}/a`, `${dead}/a`], to, ...pin });
  assert.equal(fault.code, "E_FETCH");
  assert.deepEqual(fault.details, [`${missing.root}/a: HTTP status 404`, `${dead}/a: connection refused`]);
  assert.deepEqual(left(to), []);
});

test("a file for which no place is known cannot be downloaded", async (t) => {
  const fault = await faultOf({ urls: [], to: target(t), ...pin, name: "zfs.tar.gz" });
  assert.equal(fault.code, "E_FETCH");
  assert.deepEqual(fault.details, ["no place is known that has it"]);
});

test("a mirror that accepts and never answers is left for the next one", async (t) => {
  const timers = new ManualTimers();
  const mute = await serve(t, () => timers.ring());
  const good = await serve(t, file(bytes));
  const retries: string[] = [];
  await download({
    urls: [`${mute.root}/a`, `${good.root}/a`],
    to: target(t),
    ...pin,
    timeouts: { response: 2000 },
    startTimer: timers.start,
    onRetry: (_url, why) => retries.push(why),
  });
  assert.deepEqual(retries, ["no answer within 2 s"]);
});

test("a body that stalls is resumed, at the next mirror when the first stays silent", async (t) => {
  const timers = new ManualTimers();
  const stall: Answer = (_request, response) => {
    response.writeHead(200, { "content-length": bytes.length });
    response.write(bytes.subarray(0, 1000));
  };
  const stalling = await serve(
    t,
    inTurn(stall, () => timers.ring()),
  );
  const good = await serve(t, file(bytes));
  const to = target(t);
  const retries: string[] = [];
  await download({
    urls: [`${stalling.root}/a`, `${good.root}/a`],
    to,
    ...pin,
    timeouts: { response: 2000, idle: 1000 },
    startTimer: timers.start,
    onProgress: (now) => now === 1000 && timers.ring(),
    onRetry: (_url, why) => retries.push(why),
  });
  assert.deepEqual(readFileSync(to), bytes);
  assert.deepEqual(retries, ["no further data within 1 s; going on at byte 1000", "no answer within 2 s"]);
  assert.deepEqual(good.requests, ["GET /a bytes=1000-"]);
});

test("a body that breaks off once is resumed where it broke", async (t) => {
  const server = await serve(t, inTurn(file(bytes, { cutAfter: 100_000 }), file(bytes)));
  const to = target(t);
  const progress: number[] = [];
  await download({ urls: [`${server.root}/a`], to, ...pin, onProgress: (now) => progress.push(now) });
  assert.deepEqual(readFileSync(to), bytes);
  assert.equal(server.requests.length, 2);
  assert.match(server.requests[1] ?? "", /^GET \/a bytes=[1-9]\d*-$/);
  assert.equal(progress.at(-1), bytes.length);
});

test("a place that always breaks off is given up after a few tries, and what came is kept", async (t) => {
  const server = await serve(t, file(bytes, { cutAfter: 10 }));
  const to = target(t);
  const fault = await faultOf({ urls: [`${server.root}/a`], to, ...pin });
  assert.equal(fault.code, "E_FETCH");
  assert.equal(server.requests.length, 6);
  assert.deepEqual(left(to), ["zfs.tar.gz.part"]);
  assert.deepEqual(readFileSync(`${to}.part`), bytes.subarray(0, 60));
});

test("a connection that breaks before the first byte is tried once more", async (t) => {
  const server = await serve(
    t,
    inTurn((request) => request.socket.destroy(), file(bytes)),
  );
  await download({ urls: [`${server.root}/a`], to: target(t), ...pin });
  assert.equal(server.requests.length, 2);
});

test("the partial file of an earlier call is resumed", async (t) => {
  const to = target(t);
  const broken = await serve(t, file(bytes, { cutAfter: 200 }));
  await faultOf({ urls: [`${broken.root}/a`], to, ...pin });
  const { length } = readFileSync(`${to}.part`);
  const good = await serve(t, file(bytes));
  await download({ urls: [`${good.root}/a`], to, ...pin });
  assert.deepEqual(good.requests, [`GET /a bytes=${length}-`]);
  assert.deepEqual(readFileSync(to), bytes);
});

test("a partial file that is complete already needs no request", async (t) => {
  const server = await serve(t, status(500));
  const to = target(t);
  await faultOf({ urls: [`${server.root}/a`], to, ...pin });
  writeFileSync(`${to}.part`, bytes);
  assert.deepEqual(await download({ urls: [`${server.root}/a`], to, ...pin }), pin);
  assert.equal(server.requests.length, 1);
});

test("a partial file that is not the beginning of the file is thrown away, not the place", async (t) => {
  const server = await serve(t, file(bytes));
  const to = target(t);
  await faultOf({ urls: [], to, ...pin });
  for (const partial of [other.subarray(0, 5000), other, Buffer.concat([other, other])]) {
    rmSync(to, { force: true });
    writeFileSync(`${to}.part`, partial);
    await download({ urls: [`${server.root}/a`], to, ...pin });
    assert.deepEqual(readFileSync(to), bytes);
  }
});

test("a server that knows no ranges sends the file from its beginning", async (t) => {
  const server = await serve(
    t,
    inTurn(file(bytes, { cutAfter: 1000 }), (_request, response) => response.writeHead(200).end(bytes)),
  );
  const to = target(t);
  await download({ urls: [`${server.root}/a`], to, ...pin });
  assert.match(server.requests[1] ?? "", /bytes=/);
  assert.deepEqual(readFileSync(to), bytes);
});

test("a server that sends another range than asked for is not believed", async (t) => {
  const liar = await serve(
    t,
    inTurn(file(bytes, { cutAfter: 1000 }), (_request, response) => {
      response
        .writeHead(206, { "content-range": `bytes 5-${bytes.length - 1}/${bytes.length}` })
        .end(bytes.subarray(5));
    }),
  );
  const fault = await faultOf({ urls: [`${liar.root}/a`], to: target(t), ...pin });
  assert.equal(fault.code, "E_FETCH");
  assert.match(fault.details[0] ?? "", /another range/);
});

test("a file that changed between two requests is taken from its beginning", async (t) => {
  const server = await serve(t, inTurn(file(other, { etag: '"1"', cutAfter: 1000 }), file(bytes, { etag: '"2"' })));
  const to = target(t);
  assert.deepEqual(await download({ urls: [`${server.root}/a`], to }), pin);
  assert.equal(server.requests.length, 2);
  assert.deepEqual(readFileSync(to), bytes);
});

test("a range beyond the end means complete, or begin again", async (t) => {
  const server = await serve(t, file(bytes));
  const to = target(t);
  await faultOf({ urls: [], to, sha256: pin.sha256 });
  for (const partial of [bytes, Buffer.concat([bytes, bytes])]) {
    rmSync(to, { force: true });
    writeFileSync(`${to}.part`, partial);
    await download({ urls: [`${server.root}/a`], to, sha256: pin.sha256 });
    assert.deepEqual(readFileSync(to), bytes);
  }
});

test("a body longer than the pinned size is refused", async (t) => {
  const server = await serve(t, (_request, response) => {
    response.write(bytes);
    response.end(other);
  });
  const to = target(t);
  const fault = await faultOf({ urls: [`${server.root}/a`], to, ...pin });
  assert.match(fault.details.join("\n"), /more than the 300000 bytes/);
  assert.deepEqual(left(to), []);
});

test("an archive that is labelled as packed is taken as it comes, if those are the pinned bytes", async (t) => {
  const packed = gzipSync(bytes);
  for (const label of ["gzip", "x-gzip", "br", "aes128gcm"]) {
    const server = await serve(t, (request, response) => {
      assert.equal(request.headers["accept-encoding"], "identity");
      response.setHeader("content-encoding", label);
      file(packed)(request, response);
    });
    const to = target(t);
    const pinned = { sha256: sha256(packed), size: packed.length };
    assert.deepEqual(await download({ urls: [`${server.root}/zfs.tar.gz`], to, ...pinned }), pinned);
    assert.deepEqual(readFileSync(to), packed);
  }
});

test("a file that is packed in transit is unpacked, if those are the pinned bytes, also after a break", async (t) => {
  const packed = gzipSync(bytes);
  const labelled =
    (answer: Answer): Answer =>
    (request, response) => {
      response.setHeader("content-encoding", "gzip");
      answer(request, response);
    };
  const server = await serve(t, inTurn(labelled(file(packed, { cutAfter: 100 })), labelled(file(packed))));
  const to = target(t);
  assert.deepEqual(await download({ urls: [`${server.root}/zfs.tar`], to, ...pin }), pin);
  assert.deepEqual(readFileSync(to), bytes);
  assert.deepEqual(left(to), ["zfs.tar.gz"]);
});

test("neither form being the pinned one, the place has other bytes; nothing is kept of a body that unpacks to too much", async (t) => {
  for (const body of [gzipSync(other), gzipSync(Buffer.concat([bytes, other])), bytes.subarray(1)]) {
    const server = await serve(t, (_request, response) => {
      response.writeHead(200, { "content-encoding": "gzip" }).end(body);
    });
    const to = target(t);
    const fault = await faultOf({ urls: [`${server.root}/zfs.tar`], to, ...pin });
    assert.equal(fault.code, "E_SOURCE_HASH");
    assert.match(fault.details.join("\n"), /sent as Content-Encoding: gzip/);
    assert.deepEqual(left(to), []);
  }
});

test("without a pinned hash the name tells whether a packed body is the file", async (t) => {
  const packed = gzipSync(bytes);
  const server = await serve(t, (_request, response) => {
    response.writeHead(200, { "content-encoding": "gzip" }).end(packed);
  });
  assert.equal((await download({ urls: [`${server.root}/a.tar.gz`], to: target(t) })).sha256, sha256(packed));
  assert.equal((await download({ urls: [`${server.root}/InRelease`], to: target(t) })).sha256, sha256(bytes));
});

test("without a pinned size a download has a limit, by what is announced and by what comes", async (t) => {
  const announced = await serve(t, (_request, response) => {
    response.writeHead(200, { "content-length": 2 ** 50 });
    response.write(bytes);
  });
  const endless = await serve(t, (_request, response) => {
    const more = (): void => void response.write(bytes, more);
    response.on("error", () => {});
    more();
  });
  for (const server of [announced, endless]) {
    for (const pinned of [{}, { sha256: pin.sha256 }]) {
      const to = target(t);
      const fault = await faultOf({ urls: [`${server.root}/a`], to, ...pinned, limit: 2 ** 20 });
      assert.equal(fault.code, "E_DOWNLOAD_SIZE");
      assert.match(fault.details[0] ?? "", /announces 1125899906842624 bytes|sends more than 1048576 bytes/);
      assert.deepEqual(left(to), []);
    }
  }
});

test("the limit holds for all of a file that comes in pieces", async (t) => {
  const server = await serve(t, (request, response) => {
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "bytes=0-")?.[1]);
    // says nothing about the whole, and breaks off after each piece
    response.writeHead(
      start === 0 ? 200 : 206,
      start === 0 ? {} : { "content-range": `bytes ${start}-${start + 99_999}/*` },
    );
    response.write(bytes.subarray(0, 100_000), () => response.destroy());
  });
  const to = target(t);
  const fault = await faultOf({ urls: [`${server.root}/a`], to, sha256: pin.sha256, limit: 250_000 });
  assert.equal(fault.code, "E_DOWNLOAD_SIZE");
  assert.ok(server.requests.length > 1);
  assert.deepEqual(left(to), []);
});

test("a file of an archive that no mirror has any more is told as that, with what to do", async (t) => {
  const [one, two] = await Promise.all([serve(t, status(404)), serve(t, status(410))]);
  const urls = [`${one.root}/a`, `${two.root}/a`];
  const fault = await faultOf({ urls, to: target(t), ...pin, supersededHint: "anvil lock a" });
  assert.equal(fault.code, "E_SUPERSEDED");
  assert.equal(fault.hint, "anvil lock a");
  const silent = [...urls, `${await refusingRoot()}/a`];
  assert.equal((await faultOf({ urls: silent, to: target(t), ...pin, supersededHint: "x" })).code, "E_FETCH");
  assert.equal((await faultOf({ urls, to: target(t), ...pin })).code, "E_FETCH");
});

test("without a pinned hash the result says what the file is, and no older piece gets into it", async (t) => {
  const server = await serve(t, file(bytes));
  const to = target(t);
  await faultOf({ urls: [], to });
  writeFileSync(`${to}.part`, "a piece of something");
  assert.deepEqual(await download({ urls: [`${server.root}/a`], to }), pin);
  assert.deepEqual(server.requests, ["GET /a"]);
});

test("redirections are followed, and a password goes to the server but into no message", async (t) => {
  const server = await serve(t, (request, response) => {
    if (request.url === "/a") response.writeHead(302, { location: "/b" }).end();
    else if (request.headers.authorization === `Basic ${btoa("me:secret")}`) file(bytes)(request, response);
    else response.writeHead(401).end();
  });
  const url = server.root.replace("//", "//me:secret@");
  await download({ urls: [`${url}/a`], to: target(t), ...pin });
  const fault = await faultOf({ urls: [`${url.replace("secret", "wrong")}/b`], to: target(t), ...pin });
  assert.deepEqual(fault.details, [`${server.root}/b: HTTP status 401`]);
});

test("an abort ends the download with its reason and keeps what came", async (t) => {
  const abort = new AbortController();
  const server = await serve(t, (_request, response) => {
    response.writeHead(200, { "content-length": bytes.length });
    response.write(bytes.subarray(0, 1000));
  });
  const to = target(t);
  const reason = new Error("enough");
  const running = download({
    urls: [`${server.root}/a`, `${server.root}/b`],
    to,
    ...pin,
    signal: abort.signal,
    onProgress: () => abort.abort(reason),
  });
  await assert.rejects(running, reason);
  assert.deepEqual(server.requests, ["GET /a"]);
  assert.equal(existsSync(`${to}.part`), true);
});

test("a full disk is a fault of its own", { skip: !existsSync("/dev/full") }, async (t) => {
  const server = await serve(t, file(bytes));
  const to = target(t);
  await faultOf({ urls: [], to, ...pin });
  symlinkSync("/dev/full", `${to}.part`);
  const fault = await faultOf({ urls: [`${server.root}/a`, `${server.root}/b`], to, ...pin });
  assert.equal(fault.code, "E_DISK_FULL");
  assert.equal(existsSync(to), false);
});

test("a folder that cannot be written is a fault of its own", { skip: !existsSync("/sys/kernel") }, async (t) => {
  const server = await serve(t, file(bytes));
  const fault = await faultOf({ urls: [`${server.root}/a`], to: "/sys/kernel/anvil/file", ...pin });
  assert.equal(fault.code, "E_READ_ONLY");
  assert.deepEqual(server.requests, []);
});

test("many files come at the same time from one server", async (t) => {
  const bodies = Array.from({ length: 24 }, (_, index) => Buffer.alloc(50_000 + index, `file ${index} `));
  const server = await serve(t, (request, response) => {
    file(bodies[Number(request.url?.slice(1))] ?? other)(request, response);
  });
  const to = target(t);
  const results = await Promise.all(
    bodies.map((body, index) =>
      download({ urls: [`${server.root}/${index}`], to: `${to}.${index}`, sha256: sha256(body), size: body.length }),
    ),
  );
  assert.deepEqual(
    results.map(({ size }) => size),
    bodies.map((body) => body.length),
  );
  assert.equal(left(to).length, bodies.length);
});

test("the places of a pin are the mirrors in their order, then upstream", () => {
  assert.deepEqual(
    urlsFor({ archive: "pool/a.deb", urls: ["https://example.org/a"] }, mirrorsAt(["http://one/d", "http://two/d"])),
    ["http://one/d/pool/a.deb", "http://two/d/pool/a.deb", "https://example.org/a"],
  );
});
