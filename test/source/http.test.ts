import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { Fault } from "../../src/fault/fault.ts";
import { download, type Download } from "../../src/source/fetch.ts";
import { HttpClient } from "../../src/source/http.ts";
import { Authority } from "./certificates.ts";
import { file, proxyTo, refusingRoot, serve, serveTls, socksTo, status } from "./http-server.ts";

const bytes = Buffer.alloc(70_000, "anvil and hammer ");
const pin = { sha256: createHash("sha256").update(bytes).digest("hex"), size: bytes.length };
const authority = new Authority("a company's authority");

function folder(t: TestContext): string {
  const made = mkdtempSync(path.join(tmpdir(), "anvil-http-"));
  t.after(() => rmSync(made, { recursive: true }));
  return made;
}

/** A client with this environment alone, and an APT whose configuration is these files. */
function client(t: TestContext, env: Record<string, string>, apt: Record<string, string> = {}): HttpClient {
  const root = folder(t);
  for (const [name, text] of Object.entries(apt)) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), text);
  }
  return new HttpClient({ env, apt: root });
}

/** A variable that names the authority of these tests. */
function trusting(t: TestContext, name = "NODE_EXTRA_CA_CERTS"): Record<string, string> {
  const pem = path.join(folder(t), "authority.pem");
  writeFileSync(pem, `# the company's\n${authority.cert}`);
  return { [name]: pem };
}

async function fetched(t: TestContext, http: HttpClient, url: string, more: Partial<Download> = pin): Promise<Buffer> {
  const to = path.join(folder(t), "file");
  await download({ urls: [url], to, client: http, ...more });
  return readFileSync(to);
}

async function faultOf(t: TestContext, http: HttpClient, url: string, more: Partial<Download> = pin): Promise<Fault> {
  const error: unknown = await fetched(t, http, url, more).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof Fault, `a fault, not ${String(error)}`);
  return error;
}

test("a plain request goes to the proxy in absolute form, without a tunnel", async (t) => {
  const server = await serve(t, file(bytes));
  const proxy = await proxyTo(t, server.root, { tunnel: (authority) => (authority.endsWith(":443") ? 200 : 403) });
  for (const value of [proxy.root, `${proxy.root}/`, proxy.root.replace("http://", "")])
    assert.deepEqual(await fetched(t, client(t, { http_proxy: value }), "http://mirror.invalid:8080/a%20b?c=d"), bytes);
  assert.deepEqual([...new Set(proxy.requests)], ["GET http://mirror.invalid:8080/a%20b?c=d"]);
});

test("a download through a proxy that breaks off is resumed through it", async (t) => {
  let count = 0;
  const server = await serve(t, (request, response) =>
    file(bytes, count++ === 0 ? { cutAfter: 1000 } : {})(request, response),
  );
  const proxy = await proxyTo(t, server.root);
  assert.deepEqual(await fetched(t, client(t, { http_proxy: proxy.root }), "http://mirror.invalid/a"), bytes);
  assert.match(server.requests[1] ?? "", /bytes=/);
});

test("https goes through a tunnel, and the certificate is that of the site", async (t) => {
  const server = await serveTls(t, authority.server(["mirror.invalid"]), file(bytes));
  const proxy = await proxyTo(t, server.root);
  const http = client(t, { ...trusting(t), https_proxy: proxy.root });
  const [one, two] = await Promise.all(["a", "b"].map((name) => fetched(t, http, `https://mirror.invalid/${name}`)));
  assert.deepEqual([one, two], [bytes, bytes]);
  await fetched(t, http, "https://mirror.invalid/c");
  assert.deepEqual([...new Set(proxy.requests)], ["CONNECT mirror.invalid:443"]);
  assert.ok(proxy.requests.length <= 2, "tunnels are used again");
  const other = await faultOf(t, http, "https://other.invalid/a");
  assert.equal(other.code, "E_TLS");
  assert.match(other.details[0] ?? "", /the certificate of other\.invalid is for another host/);
});

test("the proxy itself may be spoken to over TLS", async (t) => {
  const plain = await serve(t, file(bytes));
  const secure = await serveTls(t, authority.server(["mirror.invalid"]), file(bytes));
  for (const [server, url] of [
    [plain, "http://mirror.invalid/a"],
    [secure, "https://mirror.invalid/a"],
  ] as const) {
    const proxy = await proxyTo(t, server.root, { tls: authority.server(["127.0.0.1"]) });
    assert.match(proxy.root, /^https:/);
    assert.deepEqual(await fetched(t, client(t, { ...trusting(t), all_proxy: proxy.root }), url), bytes);
    assert.equal(proxy.requests.length, 1);
  }
});

test("the variables are those of curl: small before capital letters, the scheme's own before all_proxy, empty is none", async (t) => {
  const server = await serve(t, file(bytes));
  const right = await proxyTo(t, server.root);
  const wrong = "http://127.0.0.1:1";
  for (const env of [
    { http_proxy: right.root, HTTP_PROXY: wrong, all_proxy: wrong },
    { HTTP_PROXY: right.root, ALL_PROXY: wrong },
    { http_proxy: "", all_proxy: right.root, https_proxy: wrong },
    { ALL_PROXY: right.root },
  ])
    assert.deepEqual(await fetched(t, client(t, env), "http://mirror.invalid/a"), bytes);
  assert.equal(right.requests.length, 4);
  // the header "Proxy" of a request to a web server gets into this variable
  assert.deepEqual(
    await fetched(t, client(t, { HTTP_PROXY: wrong, REQUEST_METHOD: "GET" }), `${server.root}/a`),
    bytes,
  );
});

test("no_proxy knows hosts, suffixes, addresses, ranges and ports", (t) => {
  const goesDirect = (url: string, list: string, name = "no_proxy"): boolean =>
    client(t, { http_proxy: "p:1", https_proxy: "p:1", [name]: list }).proxyFor(new URL(url)) === undefined;
  const direct: [string, string][] = [
    ["http://one.example/", "one.example"],
    ["http://one.example/", "two.example, ONE.example"],
    ["http://one.example/", "two.example one.example"],
    ["http://deep.one.example/", "one.example"],
    ["http://deep.one.example/", ".one.example"],
    ["http://deep.one.example/", "*.one.example"],
    ["http://one.example/", ".one.example"],
    ["http://one.example./", "one.example"],
    ["http://anything.example/", "*"],
    ["https://one.example/", "one.example:443"],
    ["http://one.example:8080/", "one.example:8080"],
    ["http://10.1.2.3/", "10.0.0.0/8"],
    ["http://10.1.2.3/", "192.168.0.0/16,10.1.2.3"],
    ["http://10.1.2.3:80/", "10.1.2.3/32"],
    ["http://[fd00::1]/", "fd00::/8"],
    ["http://[::1]/", "::1"],
    ["http://[::1]:80/", "[::1]"],
  ];
  for (const [url, list] of direct) {
    assert.ok(goesDirect(url, list), `${url} is exempt by ${list}`);
    assert.ok(goesDirect(url, list, "NO_PROXY"), `${url} is exempt by ${list} in capitals`);
  }
  const proxied: [string, string][] = [
    ["http://one.example/", ""],
    ["http://notone.example/", "one.example"],
    ["http://notone.example/", ".one.example"],
    ["http://one.example.org/", "one.example"],
    ["http://one.example/", "one.example:8080"],
    ["http://11.1.2.3/", "10.0.0.0/8"],
    ["http://11.0.0.1/", "10.0.0.0/33"],
    ["http://ten.example/", "10.0.0.0/8"],
    ["http://[fe80::1]/", "fd00::/8"],
    ["http://one.example/", "/8,:,.,[]"],
  ];
  for (const [url, list] of proxied) assert.ok(!goesDirect(url, list), `${url} is not exempt by ${list}`);
});

test("APT's proxy is used where the environment names none, but for hosts that it says are asked directly", async (t) => {
  const server = await serve(t, file(bytes));
  const secure = await serveTls(t, authority.server(["mirror.invalid", "127.0.0.1"]), file(bytes));
  const proxy = await proxyTo(t, server.root);
  const tunnel = await proxyTo(t, secure.root);
  const forms = [
    { "apt.conf": `Acquire::http::Proxy "${proxy.root}/";` },
    { "apt.conf.d/50proxy": `// the company's\nAcquire { http { Proxy "${proxy.root}"; Pipeline-Depth "0"; }; };\n` },
    {
      "apt.conf.d/a.conf": `acquire::HTTP::proxy "http://127.0.0.1:1";`,
      "apt.conf": `Acquire::http::Proxy "${proxy.root}";`,
    },
    {
      "apt.conf.d/a": `Acquire::http::Proxy "${proxy.root}"; /* Acquire::http::Proxy "http://127.0.0.1:1"; */ # Acquire::http::Proxy "x";`,
    },
    {
      "apt.conf.d/a": `Acquire::http::Proxy "${proxy.root}";`,
      "apt.conf.d/b.bak": `Acquire::http::Proxy "http://127.0.0.1:1";`,
    },
  ];
  for (const apt of forms) assert.deepEqual(await fetched(t, client(t, {}, apt), "http://mirror.invalid/a"), bytes);
  assert.equal(proxy.requests.length, forms.length);
  const both = { "apt.conf": `Acquire::http::Proxy "${tunnel.root}"; Acquire::http::Proxy::127.0.0.1 "DIRECT";` };
  assert.deepEqual(await fetched(t, client(t, trusting(t), both), "https://mirror.invalid/a"), bytes);
  assert.deepEqual(await fetched(t, client(t, {}, both), `${server.root}/a`), bytes);
  assert.deepEqual(tunnel.requests, ["CONNECT mirror.invalid:443"]);
  const cleared = {
    "apt.conf.d/a": `Acquire::http::Proxy "http://127.0.0.1:1";`,
    "apt.conf.d/b": "#clear Acquire::http;",
  };
  assert.deepEqual(await fetched(t, client(t, {}, cleared), `${server.root}/a`), bytes);
  const named = { http_proxy: proxy.root };
  await fetched(
    t,
    client(t, named, { "apt.conf": `Acquire::http::Proxy "http://127.0.0.1:1";` }),
    "http://mirror.invalid/b",
  );
  assert.equal(proxy.requests.at(-1), "GET http://mirror.invalid/b");
});

test("what APT's proxy does not lead to is asked for directly, since it may be one for packages alone", async (t) => {
  const server = await serve(t, file(bytes));
  const picky = await proxyTo(t, server.root, { plain: () => 403, tunnel: () => 403 });
  for (const root of [picky.root, await refusingRoot()]) {
    const http = client(t, {}, { "apt.conf": `Acquire::http::Proxy "${root}";` });
    assert.deepEqual(await fetched(t, http, `${server.root}/a`), bytes);
    await fetched(t, http, `${server.root}/b`);
  }
  assert.equal(picky.requests.length, 1, "it is not asked again for the same site");
});

test("a proxy that refuses, is not there or wants a login is told as the proxy's fault, with its variable and no password", async (t) => {
  const server = await serve(t, file(bytes));
  const deny = await proxyTo(t, server.root, { plain: () => 403, tunnel: () => 403 });
  const login = `Basic ${Buffer.from("me:s3cret/%").toString("base64")}`;
  const closed = await proxyTo(t, server.root, { login });
  const dead = await refusingRoot();
  const withLogin = (root: string, name = "me", word = "s3cret%2F%25"): string =>
    root.replace("//", `//${name}:${word}@`);
  const cases: [Record<string, string>, string, RegExp][] = [
    [
      { http_proxy: withLogin(deny.root) },
      "http://x.invalid/a",
      /HTTP status 403 from the proxy http:\/\/127\.0\.0\.1:\d+ \(http_proxy\)/,
    ],
    [
      { HTTPS_PROXY: withLogin(deny.root) },
      "https://x.invalid/a",
      /the proxy http:\/\/127\.0\.0\.1:\d+ \(HTTPS_PROXY\) refuses with status 403 for x\.invalid:443/,
    ],
    [
      { http_proxy: withLogin(closed.root, "me", "wrong") },
      "http://x.invalid/a",
      /\(http_proxy\) refuses with status 407: it wants a name and a password/,
    ],
    [
      { https_proxy: closed.root },
      "https://x.invalid/a",
      /\(https_proxy\) refuses with status 407: it wants a name and a password/,
    ],
    [{ all_proxy: withLogin(dead) }, "http://x.invalid/a", /\(all_proxy\) cannot be used: connection refused/],
    [{ ALL_PROXY: withLogin(dead) }, "https://x.invalid/a", /\(ALL_PROXY\) cannot be used: connection refused/],
    [
      { http_proxy: "http://me:s3cret@proxy.invalid:3128" },
      "http://x.invalid/a",
      /the proxy http:\/\/proxy\.invalid:3128 \(http_proxy\) cannot be used: host name not found/,
    ],
  ];
  for (const [env, url, said] of cases) {
    const fault = await faultOf(t, client(t, env), url);
    assert.equal(fault.code, "E_PROXY");
    assert.match(fault.details[0] ?? "", said);
    assert.ok(fault.hint?.includes(Object.keys(env)[0] ?? ""), fault.hint);
    assert.doesNotMatch([fault.message, ...fault.details, fault.hint].join("\n"), /s3cret|me:/);
  }
  assert.deepEqual(await fetched(t, client(t, { http_proxy: withLogin(closed.root) }), "http://x.invalid/a"), bytes);
});

test("a proxy that takes the connection and says nothing is left when the run is interrupted", async (t) => {
  for (const url of ["http://x.invalid/a", "https://x.invalid/a"]) {
    const abort = new AbortController();
    const reason = new Error("enough");
    const server = await serve(t, () => abort.abort(reason));
    const silent = (): number => {
      abort.abort(reason);
      return 0;
    };
    const proxy = url.startsWith("https") ? await proxyTo(t, server.root, { tunnel: silent }) : server;
    await assert.rejects(
      fetched(t, client(t, { all_proxy: proxy.root }), url, { ...pin, signal: abort.signal }),
      reason,
    );
  }
});

test("a SOCKS proxy leads to both kinds of sites, resolves their names, and is told by its variable", async (t) => {
  const plain = await serve(t, file(bytes));
  const secure = await serveTls(t, authority.server(["mirror.invalid"]), file(bytes));
  const one = await socksTo(t, plain.root, { login: "me:s3cret" });
  const two = await socksTo(t, secure.root);
  const login = one.root.replace("//", "//me:s3cret@");
  assert.deepEqual(await fetched(t, client(t, { all_proxy: login }), "http://mirror.invalid/a"), bytes);
  assert.deepEqual(
    await fetched(t, client(t, { ...trusting(t), ALL_PROXY: two.root }), "https://mirror.invalid/a"),
    bytes,
  );
  assert.deepEqual([...one.requests, ...two.requests], ["mirror.invalid:80", "mirror.invalid:443"]);
  const denying = await socksTo(t, plain.root, { answer: 2 });
  const dead = (await refusingRoot()).replace("http:", "socks5:");
  for (const root of [one.root, denying.root, dead]) {
    for (const scheme of ["http", "https"]) {
      const fault = await faultOf(
        t,
        client(t, { all_proxy: root.replace("//", "//me:wrong@") }),
        `${scheme}://x.invalid/a`,
      );
      assert.equal(fault.code, "E_PROXY");
      assert.match(fault.details[0] ?? "", /the proxy socks5h?:\/\/127\.0\.0\.1:\d+ \(all_proxy\) cannot be used: /);
      assert.doesNotMatch(fault.details.join(), /wrong/);
    }
  }
});

test("a setting that names no proxy that is known is refused with its name", async (t) => {
  for (const [value, said] of [
    ["gopher://me:s3cret@p:70", /kind gopher/],
    ["http://", /no address/],
    ["ht tp://x", /no address/],
  ] as const) {
    const fault = await faultOf(t, client(t, { all_proxy: value }), "http://x.invalid/a");
    assert.equal(fault.code, "E_PROXY");
    assert.match(fault.message, /^all_proxy /);
    assert.match(fault.message, said);
    assert.doesNotMatch(fault.message, /s3cret/);
  }
});

test("an authority that a variable or a folder names is trusted; without it TLS is told as what fails", async (t) => {
  const server = await serveTls(t, authority.server(["127.0.0.1"]), file(bytes));
  for (const name of ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "NIX_SSL_CERT_FILE"])
    assert.deepEqual(await fetched(t, client(t, trusting(t, name)), `${server.root}/a`), bytes, name);
  const certificates = folder(t);
  writeFileSync(path.join(certificates, "1234abcd.0"), authority.cert);
  writeFileSync(
    path.join(certificates, "broken.pem"),
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
  );
  assert.deepEqual(
    await fetched(t, client(t, { SSL_CERT_DIR: `/nonexistent:${certificates}` }), `${server.root}/a`),
    bytes,
  );
  const fault = await faultOf(t, client(t, {}), `${server.root}/a`);
  assert.equal(fault.code, "E_TLS");
  assert.match(
    fault.details[0] ?? "",
    /the certificate of 127\.0\.0\.1:\d+ is by an authority that is not trusted here$/,
  );
  assert.match(fault.hint ?? "", /NODE_EXTRA_CA_CERTS=/);
});

test("a certificate that has expired, is not valid yet or is for another host is told as that", async (t) => {
  const cases = [
    [authority.server(["127.0.0.1"], { since: 200 }), /has expired/],
    [authority.server(["127.0.0.1"], { since: -2 }), /is not valid yet/],
    [authority.server(["elsewhere.invalid"]), /is for another host/],
  ] as const;
  for (const [credentials, said] of cases) {
    const server = await serveTls(t, credentials, file(bytes));
    const fault = await faultOf(t, client(t, trusting(t)), `${server.root}/a`);
    assert.equal(fault.code, "E_TLS");
    assert.match(fault.details[0] ?? "", said);
  }
});

test("what has no pinned hash does not follow https to http; what has one may", async (t) => {
  const plain = await serve(t, file(bytes));
  const secure = await serveTls(t, authority.server(["127.0.0.1"]), (_request, response) => {
    response.writeHead(302, { location: `${plain.root}/there` }).end();
  });
  const http = client(t, trusting(t));
  const fault = await faultOf(t, http, `${secure.root}/a`, {});
  assert.equal(fault.code, "E_REDIRECT");
  assert.match(fault.details[0] ?? "", /leads from https to http, to 127\.0\.0\.1:\d+$/);
  assert.deepEqual(plain.requests, []);
  assert.deepEqual(await fetched(t, http, `${secure.root}/a`), bytes);
});

test("redirections in a circle, to nowhere or to a file end with a failure, and a login stays with its site", async (t) => {
  const logins: (string | undefined)[] = [];
  const other = await serve(t, (request, response) => {
    logins.push(request.headers.authorization);
    file(bytes)(request, response);
  });
  const server = await serve(t, (request, response) => {
    const to = {
      "/circle": "/circle",
      "/file": "file:///etc/hostname",
      "/odd": "http://",
      "/other": `${other.root}/b`,
    }[request.url ?? ""];
    response.writeHead(302, to === undefined ? {} : { location: to }).end();
  });
  const http = client(t, {});
  for (const [name, said] of [
    ["circle", /without an end/],
    ["file", /of the kind file:/],
    ["odd", /no URL/],
    ["none", /HTTP status 302/],
  ] as const) {
    const fault = await faultOf(t, http, `${server.root}/${name}`);
    assert.equal(fault.code, "E_FETCH");
    assert.match(fault.details[0] ?? "", said);
  }
  assert.deepEqual(await fetched(t, http, `${server.root.replace("//", "//me:secret@")}/other`), bytes);
  assert.deepEqual(logins, [undefined]);
});

test("a response of a status that says nothing of a proxy is the site's", async (t) => {
  const server = await serve(t, status(403));
  const fault = await faultOf(t, client(t, {}), `${server.root}/a`);
  assert.equal(fault.code, "E_FETCH");
  assert.equal(fault.details[0], `${server.root}/a: HTTP status 403`);
});
