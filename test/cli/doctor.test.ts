import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { file, proxyTo, refusingRoot, serve, status } from "../source/http-server.ts";
import { anvil, copyOfProject, temporaryFolder, type Ended } from "./command-line.ts";

interface Document {
  readonly ok: boolean;
  readonly checks: readonly { readonly name: string; readonly level: string; readonly found: string; hint?: string }[];
}

const read = ({ stdout }: Ended): Document => JSON.parse(stdout) as Document;

function check({ checks }: Document, name: string) {
  const found = checks.find((each) => each.name === name);
  assert.ok(found !== undefined, `there is a check ${name}`);
  return found;
}

test("a machine without the seed: each check has a verdict, and a mirror that answers is ok", async (t) => {
  const mirror = await serve(t, file(Buffer.from("signed")));
  const ended = await anvil(["doctor", "--json", "--debian-mirror", mirror.root], { cache: temporaryFolder(t) });
  const document = read(ended);
  assert.deepEqual(
    document.checks.map(({ name }) => name),
    [
      ...["node", "system", "cores", "memory", "store", "disk", "sandbox", "proxy"],
      ...["mirror", "security", "upstream", "crates", "channel", "kvm"],
    ],
  );
  assert.equal(check(document, "node").level, "ok");
  assert.deepEqual(check(document, "mirror"), { name: "mirror", level: "ok", found: "1 of 1 answer" });
  assert.deepEqual(check(document, "security"), { name: "security", level: "ok", found: "1 of 1 answer" });
  assert.deepEqual(mirror.requests, ["HEAD /dists/bookworm/InRelease", "HEAD /dists/bookworm-security/InRelease"]);
  assert.equal(ended.status, document.ok ? 0 : 1);
});

test("what fails or warns says what to do", async (t) => {
  const mirror = await serve(t, status(404));
  const ended = await anvil(["doctor", "--json", "--debian-mirror", mirror.root], { cache: temporaryFolder(t) });
  const document = read(ended);
  assert.equal(ended.status, 1);
  assert.equal(document.ok, false);
  assert.equal(check(document, "mirror").level, "fail");
  assert.match(check(document, "mirror").found, /HTTP status 404/);
  for (const { name, level, hint } of document.checks) assert.equal(hint === undefined, level === "ok", name);
});

test("one mirror of two that is silent is a warning, and its password is not shown", async (t) => {
  const mirror = await serve(t, file(Buffer.from("signed")));
  const dead = (await refusingRoot()).replace("http://", "http://me:secret@");
  const { stdout } = await anvil(["doctor", "--debian-mirror", dead, "--debian-mirror", mirror.root], {
    cache: temporaryFolder(t),
  });
  assert.match(stdout, /^warn {2}mirror {4}1 of 2 answer; http:\/\/127\.0\.0\.1:\d+: /m);
  assert.doesNotMatch(stdout, /secret/);
});

test("a channel that is broken is a failure, and the other checks are made", async (t) => {
  const project = copyOfProject(t);
  writeFileSync(path.join(project, "channels/rfc-0054.json"), "{");
  const mirror = await serve(t, file(Buffer.from("signed")));
  const cache = path.join(temporaryFolder(t), "cache");
  mkdirSync(cache);
  const ended = await anvil(["doctor", "--json", "--debian-mirror", mirror.root], { project, cache });
  assert.equal(ended.status, 1);
  assert.equal(check(read(ended), "channel").level, "fail");
  assert.match(check(read(ended), "channel").found, /^E_CHANNEL /);
  assert.equal(check(read(ended), "mirror").level, "ok");
});

test("each kind of place has a line: a proxy by its variable, the mirror of updates and the registry that are named", async (t) => {
  const site = await serve(t, file(Buffer.from("there")));
  const proxy = await proxyTo(t, site.root, { tunnel: () => 403 });
  const options = [
    "--debian-mirror",
    "http://d.invalid/debian",
    "--crates-mirror",
    "http://c.invalid/{crate}-{version}",
  ];
  const ended = await anvil(["doctor", "--json", ...options], {
    cache: temporaryFolder(t),
    env: { all_proxy: proxy.root.replace("//", "//me:secret@") },
  });
  const document = read(ended);
  assert.match(check(document, "proxy").found, /^http by http:\/\/127\.0\.0\.1:\d+ \(all_proxy\), https by /);
  assert.equal(check(document, "mirror").level, "ok");
  assert.equal(check(document, "security").level, "ok");
  assert.equal(check(document, "crates").level, "ok");
  assert.match(
    check(document, "upstream").found,
    /the proxy http:\/\/127\.0\.0\.1:\d+ \(all_proxy\) refuses with status 403/,
  );
  assert.ok(proxy.requests.includes("HEAD http://d.invalid/debian-security/dists/bookworm-security/InRelease"));
  assert.ok(proxy.requests.some((request) => /^HEAD http:\/\/c\.invalid\/[\w-]+-[\d.]+$/.test(request)));
  assert.doesNotMatch(ended.stdout, /secret/);
});
