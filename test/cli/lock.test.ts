import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { createCleartextMessage, generateKey, readKey, readPrivateKey, sign } from "openpgp";
import { file, serve, status } from "../source/http-server.ts";
import { anvil, copyOfProject, temporaryFolder } from "./command-line.ts";

const hashOf = (data: string): string => createHash("sha256").update(data).digest("hex");
const pair = await generateKey({ userIDs: [{ name: "archive" }] });

/** A mirror whose suite trixie has one source package, zlib 9.9, and a folder with the key that signed it. */
async function archive(t: TestContext): Promise<{ readonly mirror: string; readonly keyring: string }> {
  const keyring = temporaryFolder(t);
  mkdirSync(path.join(keyring, "usr/share/keyrings"), { recursive: true });
  const key = await readKey({ armoredKey: pair.publicKey });
  writeFileSync(path.join(keyring, "usr/share/keyrings/debian-archive-test.gpg"), key.write());
  const sources = [
    "Package: zlib",
    "Version: 1:9.9.dfsg-1",
    "Directory: pool/main/z/zlib",
    "Checksums-Sha256:",
    ` ${hashOf("zlib 9.9")} 700 zlib_9.9.orig.tar.gz`,
    "",
  ].join("\n");
  const release = [
    "Suite: stable",
    "Codename: trixie",
    "Date: Sat, 11 Jul 2026 10:16:37 UTC",
    "SHA256:",
    ` ${hashOf(sources)} ${sources.length} main/source/Sources`,
    "",
  ].join("\n");
  const signed = await sign({
    message: await createCleartextMessage({ text: release }),
    signingKeys: await readPrivateKey({ armoredKey: pair.privateKey }),
  });
  const files = new Map([
    ["/dists/trixie/InRelease", signed],
    ["/dists/trixie/main/source/Sources", sources],
  ]);
  const { root } = await serve(t, (request, response) => {
    const text = files.get(request.url ?? "");
    (text === undefined ? status(404) : file(Buffer.from(text)))(request, response);
  });
  return { mirror: root, keyring };
}

interface Rig {
  readonly project: string;
  readonly lock: (...args: string[]) => ReturnType<typeof anvil>;
}

async function rig(t: TestContext): Promise<Rig> {
  const project = copyOfProject(t);
  const cache = temporaryFolder(t);
  const { mirror, keyring } = await archive(t);
  const places = ["--debian-mirror", mirror, "--keyring-root", keyring];
  return { project, lock: (...args) => anvil(["lock", ...args, ...places], { project, cache }) };
}

const channelOf = (project: string): string => readFileSync(path.join(project, "channels/debian.json"), "utf8");

test("lock shows a pin and what the archive has instead, and writes nothing", async (t) => {
  const { project, lock } = await rig(t);
  const before = channelOf(project);
  const { status, stdout, stderr } = await lock("zlib");
  assert.equal(status, 1, stderr);
  assert.match(stdout, new RegExp(`^zlib\n {2}pinned {3}1\\.3\\..*\n {2}archive {2}9\\.9.* ${hashOf("zlib 9.9")}\n`));
  assert.match(stdout, /1 differ; --write takes them over/);
  assert.equal(channelOf(project), before);
});

test("--write takes the named component over and leaves all else as it was", async (t) => {
  const { project, lock } = await rig(t);
  interface Pins {
    components: Record<string, { sha256: string; verified: string }>;
  }
  const before = JSON.parse(channelOf(project)) as Pins;
  const { status, stdout } = await lock("zlib", "--write", "--json");
  assert.equal(status, 0);
  const { written, changes } = JSON.parse(stdout) as { written: boolean; changes: { name: string }[] };
  assert.equal(written, true);
  assert.deepEqual(
    changes.map(({ name }) => name),
    ["zlib"],
  );
  const after = JSON.parse(channelOf(project)) as Pins;
  assert.equal(after.components["zlib"]?.sha256, hashOf("zlib 9.9"));
  assert.equal(after.components["zlib"].verified, "signed");
  const rest = ({ components, ...others }: Pins): object => ({ ...others, components: { ...components, zlib: null } });
  assert.deepEqual(rest(after), rest(before));
  assert.equal((await lock("zlib")).status, 0, "now the pin is what the archive has");
});

test("nothing is written when one of the components cannot be had", async (t) => {
  const { project, lock } = await rig(t);
  const before = channelOf(project);
  const { status, stderr } = await lock("zlib", "binutils", "--write");
  assert.equal(status, 1);
  assert.match(stderr, /^E_COMPONENT {2}trixie main has no source package binutils/);
  assert.equal(channelOf(project), before);
  assert.deepEqual(readdirSync(path.join(project, "channels")).sort(), [
    "crates.json",
    "debian.json",
    "rfc-0054.json",
    "seed.json",
  ]);
});

test("an archive that an unknown key signed is refused", async (t) => {
  const { lock } = await rig(t);
  const other = temporaryFolder(t);
  mkdirSync(path.join(other, "usr/share/keyrings"), { recursive: true });
  const stranger = await generateKey({ userIDs: [{ name: "stranger" }] });
  const key = await readKey({ armoredKey: stranger.publicKey });
  writeFileSync(path.join(other, "usr/share/keyrings/debian-archive-other.gpg"), key.write());
  const project = copyOfProject(t);
  const { mirror } = await archive(t);
  const refused = await anvil(["lock", "zlib", "--debian-mirror", mirror, "--keyring-root", other], {
    project,
    cache: temporaryFolder(t),
  });
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /^E_SIGNATURE {2}/);
  assert.equal((await lock("zlib")).status, 1, "with its own key it is accepted, and differs");
});

test("a channel that no archive has is wrong usage", async (t) => {
  const { status, stderr } = await anvil(["lock", "--channel", "rfc-0054"], { cache: temporaryFolder(t) });
  assert.equal(status, 2);
  assert.match(stderr, /^E_USAGE {2}only channel debian/);
});
