/** A program whose crates stand in the lock file of its source: what fetch, status and forge make of it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { buildTar } from "../format/tar-builder.ts";
import { serve, type TestServer } from "../source/http-server.ts";
import { TinyProject } from "./tiny-project.ts";

interface World {
  readonly project: TinyProject;
  readonly registry: TestServer;
  readonly sha256: string;
  readonly anvil: (...args: string[]) => ReturnType<TinyProject["anvil"]>;
}

async function world(t: Parameters<typeof serve>[0]): Promise<World> {
  const crate = gzipSync(await buildTar([{ name: "tiny-1.0.0/Cargo.toml", data: "[package]\n" }]));
  const sha256 = createHash("sha256").update(crate).digest("hex");
  const registry = await serve(t, (request, response) => {
    if (request.url === "/config.json") response.end(`{"dl":"http://${request.headers.host}/dl"}`);
    else if (request.url === "/dl/tiny/1.0.0/download") response.end(crate);
    else response.writeHead(404).end();
  });
  const project = await TinyProject.make(t);
  project.edit(
    "export const isoImage",
    `import { cratesOf } from "../src/recipe/recipe.ts";

const source = recipe({
  name: "source",
  licence: "0BSD",
  files: ["system/Cargo.lock"],
  seed: seedBase,
  script: "cp /files/system/Cargo.lock /out",
  proves: [exists("Cargo.lock")],
});

export const isoImage`,
  );
  const file = path.join(project.folder, "recipes/iso.ts");
  const text = readFileSync(file, "utf8");
  project.write(
    "recipes/iso.ts",
    text
      .replace("inputs: [base],", 'inputs: [base, source],\n  crates: [cratesOf(source, "Cargo.lock")],')
      .replace("cat /in/base/number", "ls /src/crates; cat /in/base/number"),
  );
  project.write(
    "system/Cargo.lock",
    `version = 4

[[package]]
name = "own"
version = "0.1.0"
dependencies = [
 "tiny",
]

[[package]]
name = "tiny"
version = "1.0.0"
source = "registry+index"
checksum = "${sha256}"
`,
  );
  const anvil: World["anvil"] = (...args) => project.anvil([...args, "--crates-mirror", `${registry.root}/`]);
  return { project, registry, sha256, anvil };
}

test("fetch unpacks the source, reads its lock file, and brings the crates that it names", async (t) => {
  const { project, sha256, anvil } = await world(t);
  const { status, stdout, stderr } = await anvil("fetch", "iso", "--plain");
  assert.equal(status, 0, `${stdout}${stderr}`);
  assert.ok(existsSync(path.join(project.cache, "sources", sha256)));
  assert.ok(!existsSync(path.join(project.folder, "out")));
  const names = project.store.outputs.records().map(({ name }) => name);
  assert.ok(names.includes("source") && !names.includes("iso"), names.join());
});

test("forge does the same, then builds with them; a second time there is nothing to do", async (t) => {
  const { project, registry, anvil } = await world(t);
  const before = await project.anvil(["status"]);
  assert.match(before.stdout, /to download: 0 files; to build: .*\bsource\b.*\biso\b/);
  const { status, stdout, stderr } = await anvil("forge", "--root-login", "iso", "--plain");
  assert.equal(status, 0, `${stdout}${stderr}`);
  const asked = registry.requests.length;
  const again = await anvil("forge", "--root-login", "iso", "--plain");
  assert.match(again.stdout, /nothing to do/);
  assert.equal(registry.requests.length, asked);
  assert.equal((await project.anvil(["status", "--root-login"])).status, 0);
});

test("a crate that is not the one of the lock file is refused", async (t) => {
  const { project, sha256, anvil } = await world(t);
  const lock = path.join(project.folder, "system/Cargo.lock");
  project.write("system/Cargo.lock", readFileSync(lock, "utf8").replace(sha256, "0".repeat(64)));
  const { status, stdout, stderr } = await anvil("forge", "--root-login", "iso", "--plain");
  assert.equal(status, 1);
  assert.match(`${stdout}${stderr}`, /E_SOURCE_HASH/);
  assert.ok(!project.store.outputs.records().some(({ name }) => name === "iso"));
});
