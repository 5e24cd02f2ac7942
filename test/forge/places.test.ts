import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { Digest, FetchDerivation } from "../../src/recipe/derivation.ts";
import type { Fault } from "../../src/fault/fault.ts";
import { supersededIn, unavailable, type Places } from "../../src/forge/places.ts";
import { HttpClient } from "../../src/source/http.ts";
import { mirrorsAt } from "../../src/source/mirror.ts";
import { Authority } from "../source/certificates.ts";
import { file, refusingRoot, serve, serveTls, status, type Answer } from "../source/http-server.ts";

const there = file(Buffer.from("there"));

function pin(name: string, fields: Partial<FetchDerivation> = {}): FetchDerivation {
  return {
    kind: "fetch",
    name,
    version: "1",
    file: `${name}_1.tar.gz`,
    archive: undefined,
    urls: [],
    sha256: name.padEnd(64, "0") as Digest,
    size: undefined,
    unverified: undefined,
    ...fields,
  };
}

const archived = (name: string): FetchDerivation => pin(name, { archive: `pool/main/${name}_1.tar.gz` });

async function ask(
  fetches: readonly FetchDerivation[],
  places: Partial<Places> = {},
  env: Record<string, string> = {},
): Promise<Fault | undefined> {
  return unavailable(
    fetches,
    { mirrors: () => Promise.resolve(mirrorsAt([])), crates: () => Promise.resolve([]), ...places },
    {
      client: new HttpClient({ env, apt: "/nonexistent" }),
      signal: new AbortController().signal,
      superseded: supersededIn({
        name: "newest",
        seeds: { cc: [{ package: "gcc", version: "1", archive: "", sha256: "gcc".padEnd(64, "0"), size: 1 }] },
      }),
    },
  );
}

/** A mirror that has what the names do not name. */
const mirrorWithout = async (t: TestContext, ...lost: string[]) =>
  serve(t, (request, response) => {
    (lost.some((name) => request.url?.includes(`/${name}_`)) ? status(404) : there)(request, response);
  });

test("what is there is no fault, by HEAD alone, at the first mirror that has it", async (t) => {
  const [one, two] = await Promise.all([mirrorWithout(t, "b"), mirrorWithout(t)]);
  const mirrors = () => Promise.resolve(mirrorsAt([one.root, two.root]));
  assert.equal(await ask([archived("a"), archived("b")], { mirrors }), undefined);
  assert.deepEqual(two.requests, ["HEAD /pool/main/b_1.tar.gz"]);
  assert.equal(await ask([]), undefined);
});

test("many questions take few connections", async (t) => {
  const connections = new Set<unknown>();
  const mirror = await serve(t, (request, response) => {
    connections.add(request.socket);
    response.setHeader("content-length", 1e9);
    response.end();
  });
  const fetches = Array.from({ length: 200 }, (_, index) => archived(`f${index}`));
  assert.equal(await ask(fetches, { mirrors: () => Promise.resolve(mirrorsAt([mirror.root])) }), undefined);
  assert.equal(mirror.requests.length, 200);
  assert.ok(connections.size <= 32, `${connections.size} connections`);
});

test("each file that no mirror has is named, with the pins to lock again; a package by its seed", async (t) => {
  const mirror = await mirrorWithout(t, "zfs", "gcc", "musl.patches");
  const fetches = ["zfs", "gcc", "zlib", "musl.patches"].map(archived);
  const fault = await ask(fetches, { mirrors: () => Promise.resolve(mirrorsAt([mirror.root])) });
  assert.equal(fault?.code, "E_UNAVAILABLE");
  assert.equal(fault.message, "3 of 4 files that are needed cannot be had");
  const { host } = new URL(mirror.root);
  assert.deepEqual(
    fault.details,
    ["zfs", "gcc", "musl.patches"].map((name) => `Debian archive: ${name}_1.tar.gz: ${host}: HTTP status 404`),
  );
  assert.match(fault.hint ?? "", /`anvil lock --channel newest zfs seed-cc musl` .* --write/);
});

test("a site that is not there is asked once, and its files are one line", async (t) => {
  const dead = await refusingRoot();
  const mirror = await mirrorWithout(t);
  const sources = ["a", "b", "c", "d", "e"].map((name) => pin(name, { urls: [`${dead}/${name}.tar.gz`] }));
  const fault = await ask([...sources, archived("z"), pin("crate", { crate: "crate" })], {
    mirrors: () => Promise.resolve(mirrorsAt([mirror.root])),
    crates: () => Promise.resolve([`${dead}/{crate}`]),
  });
  const { host } = new URL(dead);
  assert.deepEqual(fault?.details, [
    `release sites: a_1.tar.gz and 4 others: ${host}: connection refused`,
    `registry of crates: crate_1.tar.gz: ${host}: connection refused`,
  ]);
  assert.match(fault.hint ?? "", /--channel debian.*--crates-mirror/);
});

test("where a proxy or TLS is in the way, that is what the hint is about", async (t) => {
  const dead = await refusingRoot();
  const fault = await ask(
    [archived("a"), archived("b")],
    { mirrors: () => Promise.resolve(mirrorsAt(["http://m.invalid"])) },
    { http_proxy: dead },
  );
  assert.deepEqual(
    fault?.details,
    ["a", "b"].map(
      (name) =>
        `Debian archive: ${name}_1.tar.gz: m.invalid: the proxy ${dead} (http_proxy) cannot be used: connection refused`,
    ),
  );
  assert.match(fault.hint ?? "", /^correct http_proxy [^;]*no_proxy$/);
  const secure = await serveTls(t, new Authority("nobody knows it").server(["127.0.0.1"]), there);
  const untrusted = await ask([pin("x", { urls: [`${secure.root}/x`] })]);
  assert.match(untrusted?.details[0] ?? "", /authority that is not trusted here/);
  assert.match(untrusted?.hint ?? "", /^behind a company's proxy: .*NODE_EXTRA_CA_CERTS=/);
});

test("a site that does not take HEAD, or answers late or with a broken connection, is not called absent", async (t) => {
  const noHead: Answer = (request, response) => (request.method === "HEAD" ? status(403) : there)(request, response);
  const breaks: Answer = (request) => request.socket.destroy();
  const servers = await Promise.all([noHead, breaks].map((answer) => serve(t, answer)));
  const fetches = servers.map(({ root }, index) => pin(`f${index}`, { urls: [`${root}/file`] }));
  assert.equal(await ask(fetches), undefined);
  assert.deepEqual(servers[0]?.requests, ["HEAD /file", "GET /file bytes=0-0"]);
  const refused = await serve(t, status(403));
  assert.match((await ask([pin("x", { urls: [`${refused.root}/x`] })]))?.details[0] ?? "", /HTTP status 403$/);
});
