import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import type { Digest } from "../../src/recipe/derivation.ts";
import { source } from "../../src/recipe/recipe.ts";
import { file, inTurn, refusingRoot, serve, status, type Answer, type TestServer } from "../source/http-server.ts";
import { Rig, step } from "./rig.ts";
import { sha256Of, tarball } from "./sources.ts";

const good = await tarball("data", [{ name: "data", data: "pinned\n" }]);
/** As long as the pinned one. */
const other = Buffer.from(good.bytes);
other.writeUInt8(other.readUInt8(20) ^ 1, 20);

const user = step("user", "cp data/data /out", { source: source("data") });
const pathOf = `/${good.archive}`;

async function rigWith(
  t: TestContext,
  answers: readonly Answer[],
): Promise<{ rig: Rig; servers: TestServer[]; mirrors: string[] }> {
  const rig = await Rig.make(t, { components: { data: good.pin } });
  const servers = await Promise.all(answers.map((answer) => serve(t, answer)));
  return { rig, servers, mirrors: servers.map(({ root }) => root) };
}

/** Names in the folder of downloads, without the marks of archives that were looked through. */
const downloads = (rig: Rig): string[] =>
  readdirSync(rig.store.paths.sources).filter((name) => !name.endsWith(".checked"));

test("a source comes from the mirror by its path in the archive, and is kept under its hash", async (t) => {
  const { rig, servers, mirrors } = await rigWith(t, [file(good.bytes)]);
  const run = await rig.forge(user, { mirrors });
  assert.equal(run.ok, true);
  assert.deepEqual(servers[0]?.requests, [`GET ${pathOf}`]);
  assert.deepEqual(downloads(rig), [good.pin.sha256]);
  assert.equal(rig.read(user, "data"), "pinned\n");
  assert.deepEqual(run.made, ["data", "user"]);
});

test("a source that is there is not fetched again, and a finished output needs none", async (t) => {
  const { rig, servers, mirrors } = await rigWith(t, [file(good.bytes)]);
  await rig.forge(user, { mirrors });
  const next = step("next", "cp data/data /out/again", { source: source("data") });
  assert.equal((await rig.forge(next, { mirrors })).ok, true);
  rig.store.sources.remove(good.pin.sha256 as Digest);
  const warm = await rig.forge([user, next], { mirrors });
  assert.equal(warm.ok, true);
  assert.deepEqual(warm.made, []);
  assert.equal(servers[0]?.requests.length, 1);
});

test("when a mirror has other bytes the next one is tried", async (t) => {
  const { rig, mirrors } = await rigWith(t, [file(other), file(good.bytes)]);
  const run = await rig.forge(user, { mirrors });
  assert.equal(run.ok, true);
  const retries = run.events.flatMap((event) => (event.type === "retry" ? [[event.url, event.why]] : []));
  assert.deepEqual(retries, [[`${mirrors[0]}${pathOf}`, `other bytes, sha256 ${sha256Of(other)}`]]);
});

test("when no mirror has the pinned bytes, none of them are used or kept", async (t) => {
  const { rig, mirrors } = await rigWith(t, [file(other), file(Buffer.from("short"))]);
  const run = await rig.forge(user, { mirrors });
  assert.equal(run.fault.code, "E_SOURCE_HASH");
  assert.match(run.fault.message, /^data_1\.0\.orig\.tar\.gz is not the file/);
  assert.ok(run.fault.details.some((line) => line.includes(good.pin.sha256)));
  assert.ok(run.fault.details.some((line) => line.includes(sha256Of(other))));
  assert.deepEqual(run.names("skipped"), ["user"]);
  assert.deepEqual(downloads(rig), []);
});

test("a mirror without the file and one that does not answer are passed over", async (t) => {
  const { rig, mirrors } = await rigWith(t, [status(404), file(good.bytes)]);
  const dead = await refusingRoot();
  const run = await rig.forge(user, { mirrors: [dead, ...mirrors] });
  assert.equal(run.ok, true);
  const why = run.events.flatMap((event) => (event.type === "retry" ? [event.why] : []));
  assert.deepEqual(why, ["connection refused", "HTTP status 404"]);
});

test("when every place fails each of them is named with its reason", async (t) => {
  const { rig, mirrors } = await rigWith(t, [status(404), status(500)]);
  const dead = await refusingRoot();
  const run = await rig.forge(user, { mirrors: [...mirrors, dead] });
  assert.equal(run.fault.code, "E_FETCH");
  assert.deepEqual(run.fault.details, [
    `${mirrors[0]}${pathOf}: HTTP status 404`,
    `${mirrors[1]}${pathOf}: HTTP status 500`,
    `${dead}${pathOf}: connection refused`,
  ]);
  assert.deepEqual(downloads(rig), []);
});

test("a download that breaks off is resumed where it broke", async (t) => {
  const { rig, servers, mirrors } = await rigWith(t, [inTurn(file(good.bytes, { cutAfter: 50 }), file(good.bytes))]);
  const run = await rig.forge(user, { mirrors });
  assert.equal(run.ok, true);
  assert.deepEqual(servers[0]?.requests, [`GET ${pathOf}`, `GET ${pathOf} bytes=50-`]);
});

test("what a killed forge had downloaded is kept, and the next forge goes on from there", async (t) => {
  const { rig, servers, mirrors } = await rigWith(t, [file(good.bytes)]);
  // sends a part and keeps the connection
  const stuck = await serve(t, (_, response) => {
    response.writeHead(200, { "content-length": good.bytes.length });
    response.write(good.bytes.subarray(0, 60));
  });
  const forge = rig.spawn(user, { mirrors: [stuck.root] });
  await forge.event((event) => event.type === "progress");
  forge.kill();
  await forge.ended;
  assert.deepEqual(downloads(rig), [`${good.pin.sha256}.part`]);
  const run = await rig.forge(user, { mirrors });
  assert.equal(run.ok, true);
  assert.deepEqual(servers[0]?.requests, [`GET ${pathOf} bytes=60-`]);
  assert.deepEqual(downloads(rig), [good.pin.sha256]);
});

test("a partial file of other bytes is found out, and the whole is fetched", async (t) => {
  const { rig, mirrors } = await rigWith(t, [file(good.bytes)]);
  writeFileSync(`${rig.store.sources.path(good.pin.sha256 as Digest)}.part`, other.subarray(0, 60));
  const run = await rig.forge(user, { mirrors });
  assert.equal(run.ok, true);
  assert.equal(sha256Of(readFileSync(rig.store.sources.path(good.pin.sha256 as Digest))), good.pin.sha256);
});

test("upstream URLs are used as they stand, after the mirrors", async (t) => {
  const upstream = await serve(t, file(good.bytes));
  const url = `${upstream.root}/releases/data-1.0.tar.gz`;
  const components = { data: { ...good.pin, urls: [url] } };
  const rig = await Rig.make(t, { components });
  const mirror = await serve(t, status(404));
  const run = await rig.forge(user, { mirrors: [mirror.root] });
  assert.equal(run.ok, true);
  assert.deepEqual(upstream.requests, ["GET /releases/data-1.0.tar.gz"]);
});

test("four downloads run at once, not five", async (t) => {
  const names = ["a", "b", "c", "d", "e", "f"];
  const sources = await Promise.all(names.map((name) => tarball(name, [{ name, data: name }])));
  const rig = await Rig.make(t, {
    components: Object.fromEntries(names.map((name, i) => [name, (sources[i] as typeof good).pin])),
  });
  let open = 0;
  let most = 0;
  let waiting: (() => void)[] = [];
  const server = await serve(t, (request, response) => {
    open++;
    most = Math.max(most, open);
    waiting.push(() => {
      open--;
      file((sources.find(({ archive }) => request.url === `/${archive}`) as typeof good).bytes)(request, response);
    });
    // the last two come when the first four are answered
    if (waiting.length === 4 || server.requests.length > 4) {
      const now = waiting;
      waiting = [];
      now.forEach((answer) => answer());
    }
  });
  const all = step("all", "cat */? > /out/all", { source: names.map((name) => source(name)) });
  const run = await rig.forge(all, { mirrors: [server.root] });
  assert.equal(run.ok, true);
  assert.equal(most, 4);
  assert.equal(rig.read(all, "all"), "abcdef");
});

test("a doubtful pin is refused until it is accepted by name", async (t) => {
  const components = { data: { ...good.pin, unverified: "two sources disagree" } };
  const rig = await Rig.make(t, { components });
  const server = await serve(t, file(good.bytes));
  const refused = await rig.forge(user, { mirrors: [server.root] });
  assert.equal(refused.fault.code, "E_UNVERIFIED");
  assert.deepEqual(refused.fault.details, ["two sources disagree"]);
  assert.match(refused.fault.hint ?? "", /--accept-unverified data$/);
  assert.deepEqual(server.requests, []);
  const accepted = await rig.forge(user, { mirrors: [server.root], acceptUnverified: ["data"] });
  assert.equal(accepted.ok, true);
});

test("a source that is changed in the store is found when it is used, and fetched again", async (t) => {
  const { rig, servers, mirrors } = await rigWith(t, [file(good.bytes)]);
  await rig.forge(user, { mirrors });
  writeFileSync(rig.store.sources.path(good.pin.sha256 as Digest), other);
  const next = step("next", "cp data/data /out/again", { source: source("data") });
  const run = await rig.forge(next, { mirrors });
  assert.equal(run.ok, true);
  assert.deepEqual(run.made, ["data", "next"]);
  assert.equal(servers[0]?.requests.length, 2);
  assert.equal(rig.read(next, "again"), "pinned\n");
  assert.ok(run.events.some((event) => event.type === "notice" && /data in the store is damaged/.test(event.text)));
});

test("an interrupted download ends the run without a failure", async (t) => {
  const { rig } = await rigWith(t, []);
  const interrupt = new AbortController();
  const stuck = await serve(t, () => interrupt.abort());
  const run = await rig.forge(user, { mirrors: [stuck.root], signal: interrupt.signal });
  assert.equal(run.ok, false);
  assert.equal(run.outcome.failed.size, 0);
  assert.deepEqual(run.made, []);
  assert.equal(existsSync(rig.store.sources.path(good.pin.sha256 as Digest)), false);
});
