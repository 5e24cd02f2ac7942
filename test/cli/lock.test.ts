import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { createCleartextMessage, generateKey, readKey, readPrivateKey, sign } from "openpgp";
import { seedBase } from "../../recipes/seed.ts";
import type { Channel } from "../../src/recipe/channel.ts";
import { detached, listing, newAuthor, origin, plantKeys, publish, type Site } from "../source/author-builder.ts";
import { file, serve, status } from "../source/http-server.ts";
import { anvil, copyOfProject, root, temporaryFolder } from "./command-line.ts";
import { TinyProject } from "./tiny-project.ts";

const hashOf = (data: string): string => createHash("sha256").update(data).digest("hex");
const pair = await generateKey({ userIDs: [{ name: "archive" }] });

interface Mirror {
  readonly mirror: string;
  readonly keyring: string;
}

/** Later than what channels/debian.json has seen. */
const later = "Mon, 11 Jul 2999 10:16:37 UTC";

/** A mirror whose suite trixie has one source package, zlib 9.9, and a folder with the key that signed it. */
async function archive(t: TestContext, date = later): Promise<Mirror> {
  const sources = [
    "Package: zlib",
    "Version: 1:9.9.dfsg-1",
    "Directory: pool/main/z/zlib",
    "Checksums-Sha256:",
    ` ${hashOf("zlib 9.9")} 700 zlib_9.9.orig.tar.gz`,
    "",
  ].join("\n");
  const suites = { trixie: sources, "trixie-security": "" };
  return mirrorOf(t, suites, "main/source/Sources", {
    date,
    also: { "/pool/main/z/zlib/zlib_9.9.orig.tar.gz": "zlib 9.9" },
  });
}

/** A mirror whose suites have one index each, and a folder with the key that signed them. */
async function mirrorOf(
  t: TestContext,
  suites: Readonly<Record<string, string>>,
  index: string,
  { date = later, also = {} }: { date?: string; also?: Readonly<Record<string, string>> } = {},
): Promise<Mirror> {
  const keyring = temporaryFolder(t);
  mkdirSync(path.join(keyring, "usr/share/keyrings"), { recursive: true });
  const key = await readKey({ armoredKey: pair.publicKey });
  writeFileSync(path.join(keyring, "usr/share/keyrings/debian-archive-test.gpg"), key.write());
  const files = new Map(Object.entries(also));
  for (const [suite, text] of Object.entries(suites)) {
    files.set(`/dists/${suite}/InRelease`, await release(suite, index, text, date));
    files.set(`/dists/${suite}/${index}`, text);
  }
  const server = await serve(t, (request, response) => {
    const text = files.get(request.url ?? "");
    (text === undefined ? status(404) : file(Buffer.from(text)))(request, response);
  });
  return { mirror: server.root, keyring };
}

async function release(suite: string, index: string, content: string, date: string): Promise<string> {
  const text = [
    "Suite: stable",
    `Codename: ${suite}`,
    `Date: ${date}`,
    "SHA256:",
    ` ${hashOf(content)} ${content.length} ${index}`,
    "",
  ].join("\n");
  return sign({
    message: await createCleartextMessage({ text }),
    signingKeys: await readPrivateKey({ armoredKey: pair.privateKey }),
  });
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
  assert.match(
    stdout,
    new RegExp(
      `^zlib\n {2}pinned {3}1\\.3\\..*\n {2}archive {2}9\\.9.* ${hashOf("zlib 9.9")} {2}700 bytes {2}signed\n`,
    ),
  );
  assert.match(stdout, /1 differ; --write takes them over/);
  assert.equal(channelOf(project), before);
});

test("--write takes the named component over and leaves all else as it was", async (t) => {
  const { project, lock } = await rig(t);
  interface Pins {
    suites: Record<string, string>;
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
  const rest = ({ components, suites: _dates, ...others }: Pins): object => ({
    ...others,
    components: { ...components, zlib: null },
  });
  assert.deepEqual(rest(after), rest(before));
  assert.equal(after.suites["trixie"], "2999-07-11T10:16:37Z");
  assert.equal((await lock("zlib")).status, 0, "now the pin is what the archive has");
});

test("an archive older than the one seen before is refused, though it is signed", async (t) => {
  const { project, lock } = await rig(t);
  assert.equal((await lock("zlib", "--write")).status, 0);
  const before = channelOf(project);
  const { mirror, keyring } = await archive(t, "Sun, 10 Jul 2999 10:16:37 UTC");
  const places = ["--debian-mirror", mirror, "--keyring-root", keyring];
  const { status, stderr } = await anvil(["lock", "zlib", "--write", ...places], {
    project,
    cache: temporaryFolder(t),
  });
  assert.equal(status, 1);
  assert.match(stderr, /^E_ARCHIVE_OLD {2}dists\/trixie\/InRelease is older/);
  assert.equal(channelOf(project), before);
});

test("nothing is written when one of the components cannot be had", async (t) => {
  const { project, lock } = await rig(t);
  const before = channelOf(project);
  const { status, stderr } = await lock("zlib", "binutils", "--write");
  assert.equal(status, 1);
  assert.match(stderr, /^E_COMPONENT {2}trixie, trixie-security main: no source package binutils/);
  assert.equal(channelOf(project), before);
  assert.deepEqual(readdirSync(path.join(project, "channels")), readdirSync(path.join(root, "channels")));
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

test("without a name what the recipes name is locked: a new seed is not dropped, a component that none needs is", async (t) => {
  const project = await TinyProject.make(t);
  const file = path.join(project.folder, "recipes/iso.ts");
  const recipes = readFileSync(file, "utf8")
    .replace("import { recipe }", "import { recipe, seed }")
    .replace("seed: seedBase", 'seed: seed("own", ["only-there"])');
  writeFileSync(file, recipes);
  const names = [...seedBase.packages, "only-there"];
  const also = Object.fromEntries(names.map((name) => [`/pool/${name}.deb`, name]));
  const packages = names
    .map((name) => `Package: ${name}\nVersion: 1\nFilename: pool/${name}.deb\nSize: 1\nSHA256: ${hashOf(name)}\n`)
    .join("\n");
  const suites = { bookworm: packages, "bookworm-security": "" };
  const { mirror, keyring } = await mirrorOf(t, suites, "main/binary-amd64/Packages", { also });
  const places = ["--debian-mirror", mirror, "--keyring-root", keyring];
  const { status, stderr } = await project.anvil(["lock", "--write", ...places]);
  assert.equal(status, 0, stderr);
  const read = (name: string): unknown => JSON.parse(readFileSync(path.join(project.folder, "channels", name), "utf8"));
  const seeds = read("seed.json") as Record<string, { package: string; verified: string }[]>;
  assert.deepEqual(Object.keys(seeds), ["base", "own"]);
  assert.deepEqual(
    seeds["own"]?.map((each) => [each.package, each.verified]),
    [["only-there", "signed"]],
  );
  assert.deepEqual((read("debian.json") as { components: object }).components, {}, "no recipe there has a source");
});

test("--check says what became known, and writes nothing", async (t) => {
  const { project, lock } = await rig(t);
  const before = channelOf(project);
  const { status, stdout, stderr } = await lock("zlib", "--check", "--json");
  assert.equal(status, 1, stderr);
  const { findings } = JSON.parse(stdout) as { findings: { name: string; kind: string; what: string }[] };
  assert.deepEqual(
    findings.map(({ name, kind }) => [name, kind]),
    [
      ["zlib", "version"],
      ["zlib", "unread"],
    ],
  );
  assert.match(findings[0]?.what ?? "", /^9\.9 is in trixie, pinned is 1\.3\.1$/);
  assert.equal(channelOf(project), before);
  const both = await lock("zlib", "--check", "--write");
  assert.equal(both.status, 2);
});

const author = await newAuthor();

/** A copy of the project whose channel `authors` has zlib alone, from a site that its author signs. */
async function released(
  t: TestContext,
  site: Site,
): Promise<Rig & { readonly channel: () => Channel; readonly root: string }> {
  const server = await publish(t, site);
  const project = copyOfProject(t);
  plantKeys(project, [author]);
  const file = path.join(project, "channels/authors.json");
  const urls = [`${server.root}/zlib-{version}.tar.gz`];
  const channel: Omit<Channel, "seeds"> = {
    name: "authors",
    description: "of a test",
    unproven: "of a test",
    epoch: 1,
    releases: {
      zlib: {
        list: `${server.root}/`,
        series: "1.3.",
        urls,
        signature: { url: `${urls[0]}.asc`, keys: [author.fingerprint] },
        licence: "Zlib",
      },
    },
    components: {
      zlib: {
        version: "1.3.1",
        urls: ["http://old.example/z"],
        sha256: hashOf("1.3.1"),
        verified: "recorded",
        licence: "Zlib",
      },
    },
  };
  writeFileSync(file, `${JSON.stringify(channel, null, 2)}\n`);
  const cache = temporaryFolder(t);
  return {
    project,
    root: server.root,
    channel: () => JSON.parse(readFileSync(file, "utf8")) as Channel,
    lock: (...args) => anvil(["lock", "--channel", "authors", ...args], { project, cache }),
  };
}

test("releases of authors: the difference says from where and by whom, --write takes it over, nothing else changes", async (t) => {
  const site = {
    "/": listing("zlib-1.3.1.tar.gz", "zlib-1.3.2.tar.gz"),
    "/zlib-1.3.2.tar.gz": "zlib 1.3.2",
    "/zlib-1.3.2.tar.gz.asc": await detached("zlib 1.3.2", author),
  };
  const { lock, channel, project, root: upstream } = await released(t, site);
  const before = channel();
  const seeds = readFileSync(path.join(project, "channels/seed.json"), "utf8");
  const shown = await lock();
  assert.equal(shown.status, 1, shown.stderr);
  assert.deepEqual(
    shown.stdout
      .split("\n")
      .slice(0, 5)
      .map((line) => line.replace(/, on \S+$/, "")),
    [
      "zlib",
      `  pinned   1.3.1  sha256 ${hashOf("1.3.1")}  recorded`,
      `  author   1.3.2  sha256 ${hashOf("zlib 1.3.2")}  10 bytes  signed`,
      `           ${upstream}/zlib-1.3.2.tar.gz`,
      `           signed by Author <author@site.example>, key ${author.fingerprint}, as packaged with tool 1-1`,
    ],
  );
  assert.deepEqual(channel(), before);
  const known = await lock("--check", "--json");
  assert.equal(known.status, 1);
  const { findings } = JSON.parse(known.stdout) as { findings: object };
  assert.deepEqual(findings, [{ name: "zlib", kind: "version", what: `1.3.2 is in ${upstream}/, pinned is 1.3.1` }]);
  const written = await lock("--write", "--json");
  assert.equal(written.status, 0, written.stderr);
  const document = JSON.parse(written.stdout) as {
    written: boolean;
    changes: { signer: object }[];
    problems: object[];
  };
  assert.deepEqual([document.written, document.problems], [true, []]);
  assert.deepEqual(document.changes[0]?.signer, {
    key: author.fingerprint,
    user: "Author <author@site.example>",
    origin,
  });
  const { components, ...rest } = channel();
  const { components: _before, ...same } = before;
  assert.deepEqual(rest, same);
  assert.deepEqual(components["zlib"], {
    version: "1.3.2",
    urls: [`${upstream}/zlib-1.3.2.tar.gz`],
    sha256: hashOf("zlib 1.3.2"),
    size: 10,
    verified: "signed",
    signedBy: author.fingerprint,
    licence: "Zlib",
  });
  assert.equal(readFileSync(path.join(project, "channels/seed.json"), "utf8"), seeds);
  assert.equal((await lock("--check")).status, 0);
});

test("a signature that does not fit fails aloud, and nothing is written", async (t) => {
  const { lock, channel } = await released(t, {
    "/": listing("zlib-1.3.2.tar.gz"),
    "/zlib-1.3.2.tar.gz": "something else",
    "/zlib-1.3.2.tar.gz.asc": await detached("zlib 1.3.2", author),
  });
  const before = channel();
  const { status: code, stderr } = await lock("--write");
  assert.equal(code, 1);
  assert.match(stderr, /^E_SIGNATURE {2}zlib 1\.3\.2: the signature .*zlib-1\.3\.2\.tar\.gz\.asc is not good\n/);
  assert.deepEqual(channel(), before);
});

test("a site that does not answer is named, and a channel that says of nothing where it is from cannot be locked", async (t) => {
  const { lock, project } = await released(t, { "/": status(503) });
  const { status: code, stderr } = await lock("--json");
  assert.equal(code, 1, stderr);
  const { stdout } = await lock("--json");
  const { problems } = JSON.parse(stdout) as { problems: { name: string; fault: { code: string } }[] };
  assert.deepEqual(
    problems.map(({ name, fault }) => [name, fault.code]),
    [["zlib", "E_UNAVAILABLE"]],
  );
  const bare = { name: "bare", description: "of a test", unproven: "of a test", epoch: 1, components: {} };
  writeFileSync(path.join(project, "channels/bare.json"), JSON.stringify(bare));
  const refused = await anvil(["lock", "--channel", "bare"], { project, cache: temporaryFolder(t) });
  assert.match(refused.stderr, /^E_COMPONENT {2}channel bare says of nothing where it comes from/);
});
