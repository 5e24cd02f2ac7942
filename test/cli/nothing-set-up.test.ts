import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { PUBLIC_MIRRORS } from "../../src/source/public-mirrors.ts";
import { withoutApt } from "../forge/confined.ts";
import { Rig } from "../forge/rig.ts";
import { Authority } from "../source/certificates.ts";
import { proxyTo, refusingRoot, serveTls, type Answer, type TestServer } from "../source/http-server.ts";
import { anvil, type Ended } from "./command-line.ts";
import { smallWorld, type World } from "./small-world.ts";

interface Bare {
  readonly run: (args: readonly string[], env?: Record<string, string>) => Promise<Ended>;
  readonly mirrors: TestServer;
  readonly proxy: TestServer;
}

/**
 * A machine with neither APT's nor cargo's configuration, in whose store of certificates is a company's authority, as with a
 * proxy that looks into TLS. Its way out is a proxy with tunnels to port 443 alone, behind which
 * the public mirrors that `has` says have what the world has.
 */
async function bare(t: TestContext, world: World, has: (host: string) => boolean = () => true): Promise<Bare> {
  const authority = new Authority("a company's authority");
  const hosts = PUBLIC_MIRRORS.map((root) => new URL(root).hostname);
  const answer: Answer = (request, response) => {
    if (request.url?.endsWith("/InRelease") === true) response.writeHead(200).end("signed");
    else world.answer(request, response);
  };
  const mirrors = await serveTls(t, authority.server(hosts), answer);
  const proxy = await proxyTo(t, mirrors.root, {
    plain: () => 403,
    tunnel: (target) => (has(target.replace(/:443$/, "")) ? 200 : 502),
  });
  const store = path.join(world.cache, "certs");
  mkdirSync(store);
  writeFileSync(path.join(store, "ca-certificates.crt"), authority.cert);
  const { seedTree } = await Rig.make(t);
  const home = mkdtempSync(path.join(world.cache, "home-"));
  const run = (args: readonly string[], env: Record<string, string> = {}): Promise<Ended> =>
    anvil(args, {
      project: world.project,
      cache: world.cache,
      env: { HOME: home, https_proxy: proxy.root, ...env },
      wrap: withoutApt(seedTree, store),
    });
  return { run, mirrors, proxy };
}

const hostOf = (root: string | undefined): string => new URL(root ?? "").hostname;

test("without any mirror named, downloads come from public ones, which the first line says", async (t) => {
  const world = await smallWorld(t);
  const only = hostOf(PUBLIC_MIRRORS[1]);
  const { run, mirrors, proxy } = await bare(t, world, (host) => host === only);
  const { status, stdout, stderr } = await run(["fetch", "zlib", "--channel", "debian", "--plain"]);
  assert.equal(status, 0, stdout);
  assert.equal(stderr, "");
  const line = stdout.split("\n")[0] ?? "";
  assert.ok(line.startsWith("channel debian: "), line);
  assert.ok(line.endsWith(`; no Debian mirror is named on this machine: packages come from ${only}`), line);
  assert.deepEqual(readdirSync(path.join(world.cache, "sources")).sort(), [...world.wanted.keys()].sort());
  for (const request of mirrors.requests)
    assert.match(request, /^(?:HEAD|GET) [\w.-]+ \/debian(?:-security)?\/(?:pool|dists)\//);
  const asked = new Set(proxy.requests.map((request) => request.replace(/^CONNECT |:443$/g, "")));
  for (const root of PUBLIC_MIRRORS) assert.ok(asked.has(hostOf(root)), `${root} was measured`);
});

test("the choice of public mirrors is remembered", async (t) => {
  const world = await smallWorld(t);
  const only = hostOf(PUBLIC_MIRRORS[2]);
  const { run, proxy } = await bare(t, world, (host) => host === only);
  const first = await run(["fetch", "zlib", "--channel", "debian", "--plain"]);
  assert.equal(first.status, 0, first.stdout);
  const before = proxy.requests.length;
  const second = await run(["fetch", "libelf", "--channel", "debian", "--plain"]);
  assert.equal(second.status, 0, second.stdout);
  const asked = new Set(proxy.requests.slice(before));
  assert.deepEqual([...asked], [`CONNECT ${only}:443`]);
});

test("what cannot be had is told before anything is built or fetched, all of it at once", async (t) => {
  const world = await smallWorld(t, "/musl_");
  const { run, mirrors } = await bare(t, world);
  const { status, stdout, stderr } = await run(["forge", "anvil-vmm", "--channel", "debian", "--plain"]);
  assert.equal(status, 1);
  assert.match(stderr, /^E_UNAVAILABLE {2}\d+ of \d+ files that are needed cannot be had$/m);
  assert.match(stderr, /^ {2}Debian archive: musl_\S+: .*HTTP status 404/m);
  assert.match(stderr, /^ {2}registry of crates: \S+\.crate and \d+ others: E_NO_CRATES_MIRROR /m);
  assert.match(stderr, /hint: .*`anvil lock --channel \S+ musl`.*--crates-mirror/);
  assert.doesNotMatch(stdout, /start/);
  assert.deepEqual(
    mirrors.requests.filter((request) => request.startsWith("GET")),
    [],
  );
  assert.deepEqual(readdirSync(path.join(world.cache, "sources")), []);
});

test("a way out that is blocked is told as that, with every mirror that was tried", async (t) => {
  const world = await smallWorld(t);
  const { run } = await bare(t, world);
  const dead = await refusingRoot();
  const { status, stderr } = await run(["forge", "zlib", "--channel", "debian", "--plain"], { https_proxy: dead });
  assert.equal(status, 1);
  assert.match(stderr, /^E_UNAVAILABLE /);
  for (const root of PUBLIC_MIRRORS)
    assert.ok(stderr.includes(`${root}: the proxy ${dead} (https_proxy) cannot be used`));
});
