/** `anvil lock`, called in this process, against an archive of one package. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import { createCleartextMessage, generateKey, readKey, readPrivateKey, sign } from "openpgp";
import { file, serve, status } from "../source/http-server.ts";
import { World } from "./world.ts";

const hashOf = (text: string): string => createHash("sha256").update(text).digest("hex");

/** A mirror whose suite has version 1.1 of the package, and the world's keyring with the key that signs it. */
async function mirror(t: TestContext, world: World): Promise<string[]> {
  const { privateKey, publicKey } = await generateKey({ userIDs: [{ name: "archive" }] });
  const key = await readKey({ armoredKey: publicKey });
  world.write("keys/usr/share/keyrings/debian-archive-test.gpg", key.write());
  const archive = "thing 1.1";
  const sources = [
    "Package: thing",
    "Version: 1.1-1",
    "Directory: pool/main/t/thing",
    "Checksums-Sha256:",
    ` ${hashOf(archive)} ${archive.length} thing_1.1.orig.tar.gz`,
    "",
  ].join("\n");
  const index = "main/source/Sources";
  const release = [
    "Suite: tiny",
    "Codename: tiny",
    "Date: Mon, 30 Nov 2026 10:00:00 UTC",
    "SHA256:",
    ` ${hashOf(sources)} ${sources.length} ${index}`,
    "",
  ].join("\n");
  const signed = await sign({
    message: await createCleartextMessage({ text: release }),
    signingKeys: await readPrivateKey({ armoredKey: privateKey }),
  });
  const files = new Map([
    ["/dists/tiny/InRelease", signed],
    [`/dists/tiny/${index}`, sources],
    ["/pool/main/t/thing/thing_1.1.orig.tar.gz", archive],
  ]);
  const server = await serve(t, (request, response) => {
    const text = files.get(request.url ?? "");
    (text === undefined ? status(404) : file(Buffer.from(text)))(request, response);
  });
  return ["--debian-mirror", server.root, "--keyring-root", world.path("keys")];
}

test("lock says what is published now, and writes it when it is told to", async (t) => {
  const world = await World.make(t);
  const channel = world.path("project/channels/tiny.json");
  const before = JSON.parse(readFileSync(channel, "utf8")) as object;
  const places = { thing: { package: "thing", suites: ["tiny"], licence: "0BSD" } };
  world.write("project/channels/tiny.json", JSON.stringify({ ...before, places }));
  const from = await mirror(t, world);
  const differs = await world.anvil(["lock", "thing", ...from]);
  assert.equal(differs.status, 1, differs.stderr);
  assert.match(
    differs.stdout,
    /^thing\n {2}pinned {3}1\.0 [^]*\n {2}archive {2}1\.1 [^]*\n1 differ; --write takes them over\n$/,
  );
  const written = await world.anvil(["lock", "thing", "--write", "--json", ...from]);
  assert.equal(written.status, 0, written.stderr);
  const { changes } = JSON.parse(written.stdout) as { changes: { name: string }[] };
  assert.deepEqual(
    changes.map(({ name }) => name),
    ["thing"],
  );
  const now = JSON.parse(readFileSync(channel, "utf8")) as { components: { thing: { version: string } } };
  assert.equal(now.components.thing.version, "1.1");
  assert.equal((await world.anvil(["lock", "thing", ...from])).status, 0);
  const wrong = await world.anvil(["lock", "--write", "--check"]);
  assert.deepEqual(
    [wrong.status, wrong.stderr.split("\n")[0]],
    [2, "E_USAGE  --check writes nothing: leave out --write"],
  );
});
