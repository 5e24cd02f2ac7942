import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { seedRust } from "../../recipes/seed-rust.ts";
import type { Digest, FetchDerivation, Key } from "../../src/recipe/derivation.ts";
import { cargoRegistry } from "../../src/forge/cargo-registry.ts";
import { Downloads } from "../../src/forge/downloads.ts";
import { HttpClient } from "../../src/source/http.ts";
import { storePaths } from "../../src/store/paths.ts";
import { DiskStore } from "../../src/store/disk-store.ts";
import type { Store } from "../../src/store/store.ts";
import { Authority } from "../source/certificates.ts";
import { proxyTo, serve, serveTls, status, type Answer } from "../source/http-server.ts";
import { Rig } from "./rig.ts";

const crate = { crate: "libc", version: "0.2.191", sha256: "ab".repeat(32) };

/** A sparse index with one crate in it. */
const index =
  (dl: string): Answer =>
  (request, response) => {
    if (request.url === "/index/config.json") response.end(JSON.stringify({ dl, api: null }));
    else if (request.url === "/index/li/bc/libc")
      response.end(
        `${JSON.stringify({ name: "libc", vers: crate.version, deps: [], cksum: crate.sha256, features: {}, yanked: false })}\n`,
      );
    else response.writeHead(404).end();
  };

const configuration = (root: string): string =>
  `[source.crates-io]\nreplace-with = "test"\n[source.test]\nregistry = "sparse+${root}/index/"\n`;

/** The seed with cargo, which is forged before these tests, in the store of the user. */
async function withSeed(t: TestContext): Promise<{ store: Store; seed: string }> {
  const rig = await Rig.make(t);
  const key = rig.evaluate(seedRust).targets[0];
  assert.ok(key !== undefined);
  const theirs = DiskStore.open(storePaths(process.env, os.homedir()));
  assert.ok(theirs.outputs.has(key), "`anvil forge seed-rust` comes first");
  return { store: rig.store, seed: theirs.outputs.path(key) };
}

test("cargo says where its registry has downloads, over TLS with the authorities that the machine trusts", async (t) => {
  const { store, seed } = await withSeed(t);
  const authority = new Authority("a company's authority");
  const registry = await serveTls(t, authority.server(["127.0.0.1"]), index("https://dl.invalid/{crate}"));
  const folder = mkdtempSync(path.join(os.tmpdir(), "anvil-authority-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const pem = path.join(folder, "authority.pem");
  writeFileSync(pem, authority.cert);
  const ask = (env: Record<string, string>): Promise<string> =>
    cargoRegistry({ store, seed, crate, env, configuration: configuration(registry.root) });
  assert.equal(await ask({ NODE_EXTRA_CA_CERTS: pem }), "https://dl.invalid/{crate}");
  await assert.rejects(ask({}), { code: "E_NO_CRATES_MIRROR", hint: /--crates-mirror/ });
  assert.deepEqual(readdirSync(store.paths.tmp), []);
});

test("cargo is asked through the proxy of the environment", async (t) => {
  const { store, seed } = await withSeed(t);
  const registry = await serve(t, index("http://dl.invalid/crates"));
  const proxy = await proxyTo(t, registry.root);
  const found = await cargoRegistry({
    ...{ store, seed, crate },
    env: { HTTP_PROXY: proxy.root },
    configuration: configuration("http://registry.invalid"),
  });
  assert.equal(found, "http://dl.invalid/crates");
  assert.ok(proxy.requests.includes("GET http://registry.invalid/index/config.json"));
});

/** A plan that wants a crate, on a machine that names nothing, without the seed that has cargo. */
async function wantingCrate(t: TestContext): Promise<{ store: Store; seed: Key; downloads: () => Downloads }> {
  const rig = await Rig.make(t);
  rig.channel = { ...rig.channel, crates: { some: [crate] } };
  // the seed's packages are here
  const evaluation = rig.evaluate(seedRust);
  const [seed] = evaluation.targets;
  assert.ok(seed !== undefined);
  for (const { sha256 } of rig.channel.seeds["rust"] ?? []) {
    const file = rig.store.sources.path(sha256 as Digest);
    if (!existsSync(file)) writeFileSync(file, "");
  }
  const derivation: FetchDerivation = {
    ...{ kind: "fetch", name: "libc", version: crate.version, file: "libc.crate", archive: undefined, urls: [] },
    ...{ crate: "libc", sha256: crate.sha256 as Digest, size: undefined, unverified: undefined },
  };
  const key = crate.sha256 as Key;
  const wanting = {
    ...evaluation,
    nodes: new Map([...evaluation.nodes, [key, { key, derivation, needs: [] }] as const]),
    targets: [seed, key],
  };
  const downloads = (): Downloads =>
    new Downloads(wanting, {
      store: rig.store,
      client: new HttpClient({ env: {}, apt: "/nonexistent" }),
      mirrors: { flags: ["http://mirror.invalid"], environment: undefined, apt: "/nonexistent" },
      crates: { flags: [], environment: undefined, cargoHome: "/nonexistent" },
      env: {},
    });
  return { store: rig.store, seed, downloads };
}

/** What cargo said is remembered by this. */
const remember = (store: Store, template: string): void =>
  writeFileSync(path.join(store.paths.top, "crates.json"), JSON.stringify({ at: Date.now(), template }));

test("with nothing named crates wait for the seed that has cargo; what cargo said is remembered", async (t) => {
  const { store, seed, downloads } = await wantingCrate(t);
  assert.equal(await downloads().seedForCrates(), seed);
  assert.match(await downloads().note(), /crates from cargo's own registry$/);
  await assert.rejects(downloads().crates(), { code: "E_NO_CRATES_MIRROR" });
  remember(store, "http://dl.invalid");
  assert.equal(await downloads().seedForCrates(), undefined);
  assert.deepEqual(await downloads().crates(), ["http://dl.invalid"]);
});

test("before anything is built the seed is made, and then it is known whether the crates are there", async (t) => {
  const { store, seed, downloads } = await wantingCrate(t);
  const registry = await serve(t, status(404));
  const made: Key[] = [];
  const prepare = (keepGoing: boolean): Promise<readonly string[]> =>
    downloads().prepare({
      signal: new AbortController().signal,
      keepGoing,
      makeSeed: (key) => {
        made.push(key);
        remember(store, `${registry.root}/{crate}`);
        return Promise.resolve(true);
      },
    });
  await assert.rejects(prepare(false), {
    code: "E_UNAVAILABLE",
    details: [`registry of crates: libc.crate: ${new URL(registry.root).host}: HTTP status 404`],
  });
  assert.deepEqual(made, [seed]);
  const notices = await prepare(true);
  assert.match(notices.join(), /^E_UNAVAILABLE .*libc\.crate/);
});
