import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { parseEvents } from "../../src/ui/json.ts";
import { proxyTo } from "../source/http-server.ts";
import { anvil, temporaryFolder } from "./command-line.ts";
import { smallWorld } from "./small-world.ts";

const sourcesIn = (cache: string): string[] => readdirSync(path.join(cache, "sources")).sort();

test("fetch brings the sources and seed packages of a target, no others, and builds nothing", async (t) => {
  const { cache, wanted, mirror, fetch } = await smallWorld(t);
  const { status, stdout } = await fetch();
  assert.equal(status, 0, stdout);
  assert.deepEqual(sourcesIn(cache), [...wanted.keys()].sort());
  for (const [sha256, bytes] of wanted)
    assert.deepEqual(readFileSync(path.join(cache, "sources", sha256)), bytes, "the file is what its name says");
  assert.deepEqual(readdirSync(path.join(cache, "store")), []);
  assert.equal(mirror.requests.length, wanted.size);
});

test("a second fetch asks nobody", async (t) => {
  const { mirror, fetch } = await smallWorld(t);
  await fetch();
  const before = mirror.requests.length;
  const { status, stdout } = await fetch("--plain");
  assert.equal(status, 0);
  assert.match(stdout, /nothing to do/);
  assert.equal(mirror.requests.length, before);
});

test("a file that no mirror has is a failure, and --keep-going brings all others", async (t) => {
  const { cache, wanted, fetch } = await smallWorld(t, "/gmp_");
  const { status, stdout } = await fetch("--keep-going", "--json");
  assert.equal(status, 1);
  const failed = parseEvents(stdout).filter((event) => event.type === "failed");
  assert.deepEqual(
    failed.map(({ fault }) => fault.code),
    ["E_SUPERSEDED"],
  );
  assert.match(failed[0]?.fault.message ?? "", /^no mirror has gmp_.* any more$/);
  assert.match(failed[0]?.fault.hint ?? "", /`anvil lock --channel \S+ gmp`/);
  assert.equal(sourcesIn(cache).length, wanted.size - 1);
});

test("a recipe that does not exist is named with those that do", async (t) => {
  const { status, stderr } = await anvil(["fetch", "nonsense"], { cache: temporaryFolder(t) });
  assert.equal(status, 1);
  assert.match(stderr, /^E_NO_TARGET {2}there is no recipe "nonsense"\n {2}hint: recipes: .*zlib/);
});

test("a doubtful pin is refused unless it is accepted by name", async (t) => {
  const { project, cache, fetch } = await smallWorld(t);
  const channelFile = path.join(project, "channels/debian.json");
  const channel = JSON.parse(readFileSync(channelFile, "utf8")) as { components: Record<string, object> };
  channel.components["zlib"] = { ...channel.components["zlib"], unverified: "found on a wall" };
  writeFileSync(channelFile, JSON.stringify(channel));
  const refused = await fetch("--plain");
  assert.equal(refused.status, 1);
  assert.match(refused.stdout, /E_UNVERIFIED[^]*found on a wall/);
  const accepted = await fetch("--plain", "--accept-unverified", "zlib");
  assert.equal(accepted.status, 0, accepted.stdout);
  assert.ok(sourcesIn(cache).length > 0);
});

test("downloads go through the proxy that the environment names", async (t) => {
  const { cache, wanted, mirror, project } = await smallWorld(t);
  const proxy = await proxyTo(t, mirror.root);
  const {
    status: code,
    stdout,
    stderr,
  } = await anvil(["fetch", "zlib", "--channel", "debian", "--debian-mirror", "http://mirror.invalid"], {
    project,
    cache,
    env: { http_proxy: proxy.root },
  });
  assert.equal(code, 0, stdout);
  assert.deepEqual(sourcesIn(cache), [...wanted.keys()].sort());
  assert.equal(stderr, "");
  assert.equal(proxy.requests.length, wanted.size);
  for (const request of proxy.requests) assert.match(request, /^GET http:\/\/mirror\.invalid\/pool\//);
});
