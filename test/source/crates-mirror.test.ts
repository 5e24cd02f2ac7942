import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { loadCrates } from "../../src/source/channel.ts";
import { configuredRegistry, crateMirrors, crateUrl, namedRegistries } from "../../src/source/crates-mirror.ts";

const project = projectRoot(path.dirname(fileURLToPath(import.meta.url)));

function projectRoot(folder: string): string {
  return existsSync(path.join(folder, "channels/debian.json")) ? folder : projectRoot(path.dirname(folder));
}

function cargoHome(t: TestContext, files: Record<string, string>): string {
  const folder = mkdtempSync(path.join(tmpdir(), "anvil-cargo-"));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text);
  return folder;
}

/** A sparse index whose `config.json` is this. */
async function index(t: TestContext, config: string): Promise<string> {
  const server = createServer((request, response) => {
    response.statusCode = request.url === "/index/config.json" ? 200 : 404;
    response.end(request.url === "/index/config.json" ? config : "");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/index/`;
}

test("the place of a crate follows the markers of the template, or ends as the index format says", () => {
  const crate = { crate: "Vm-memory", version: "0.18.0", sha256: "ab" };
  assert.equal(crateUrl("http://x.example/dl/", crate), "http://x.example/dl/Vm-memory/0.18.0/download");
  assert.equal(
    crateUrl("http://x.example/{lowerprefix}/{prefix}/{crate}-{version}.crate?{sha256-checksum}", crate),
    "http://x.example/vm/-m/Vm/-m/Vm-memory-0.18.0.crate?ab",
  );
  const place = (name: string): string => crateUrl("http://x.example/{prefix}", { ...crate, crate: name });
  assert.deepEqual(["a", "ab", "abc", "abcd"].map(place), [
    "http://x.example/1",
    "http://x.example/2",
    "http://x.example/3/a",
    "http://x.example/ab/cd",
  ]);
});

test("cargo's configuration names the registry in the place of the usual one, also in several steps", async (t) => {
  const home = cargoHome(t, {
    "config.toml": [
      "[build]",
      'target = "x"',
      "[source.crates-io]",
      "replace-with = 'first' # a comment",
      "[source.first]",
      'replace-with = "second"',
      '[registries."second"]',
      'index = "sparse+https://crates.example/index/"',
    ].join("\n"),
  });
  assert.equal(await configuredRegistry(home), "sparse+https://crates.example/index/");
});

test("a configuration that names no registry over HTTP, or goes in circles, is as good as none: cargo is asked for its own", async (t) => {
  const circle = '[source.crates-io]\nreplace-with = "a"\n[source.a]\nreplace-with = "a"\n';
  const folder = '[source.crates-io]\nreplace-with = "a"\n[source.a]\ndirectory = "/vendor"\n';
  for (const text of ["", "[source.crates-io]\n", circle, folder]) {
    const home = cargoHome(t, { "config.toml": text });
    const cargo = (): Promise<string> => Promise.resolve("http://cargo.example/dl");
    const choice = { flags: [], environment: undefined, cargoHome: home };
    assert.equal(await namedRegistries(choice), undefined);
    assert.deepEqual(await crateMirrors({ ...choice, cargo }), ["http://cargo.example/dl"]);
  }
});

test("flags win over the environment, that over the configuration; an index is asked for its place of downloads", async (t) => {
  const url = await index(t, '{"dl": "http://dl.example/crates", "api": null}');
  const home = cargoHome(t, {
    config: `[source.crates-io]\nreplace-with = "a"\n[source.a]\nregistry = "sparse+${url}"\n`,
  });
  const choose = (flags: string[], environment?: string): Promise<string[]> =>
    crateMirrors({ flags, environment, cargoHome: home, cargo: () => Promise.reject(new Error("not asked")) });
  assert.deepEqual(await choose([]), ["http://dl.example/crates"]);
  assert.deepEqual(await choose([], "http://e.example/{crate}, http://f.example/{crate}"), [
    "http://e.example/{crate}",
    "http://f.example/{crate}",
  ]);
  assert.deepEqual(await choose([`sparse+${url}`], "http://e.example/{crate}"), ["http://dl.example/crates"]);
  await assert.rejects(choose(["ftp://x.example/"]), { code: "E_USAGE" });
});

test("what is no sparse index is said so", async (t) => {
  const url = await index(t, "<html>");
  await assert.rejects(namedRegistries({ flags: [url], environment: undefined, cargoHome: "/none" }), {
    code: "E_FETCH",
  });
});

test("the list of the monitor's crates is what its Cargo.lock says", async () => {
  const lock = readFileSync(path.join(project, "native/anvil-vmm/Cargo.lock"), "utf8");
  const packages = lock.split("[[package]]").flatMap((block) => {
    const [, crate, version] = /name = "([^"]*)"\nversion = "([^"]*)"/.exec(block) ?? [];
    const sha256 = /checksum = "([0-9a-f]{64})"/.exec(block)?.[1];
    return sha256 === undefined ? [] : [{ crate, version, sha256 }];
  });
  const crates = await loadCrates(project);
  assert.deepEqual(crates["anvil-vmm"], packages);
  assert.ok(crates["rust-std"]?.some(({ crate }) => crate === "hashbrown"));
});
