import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { HttpClient } from "../../src/source/http.ts";
import { aptMirrors, debianMirrors, mirrorsAt, placesInMirrors, type MirrorChoice } from "../../src/source/mirror.ts";
import { PUBLIC_MIRRORS, publicMirrors } from "../../src/source/public-mirrors.ts";
import { file, refusingRoot, serve, status } from "./http-server.ts";

/** A folder like /etc/apt with these files. */
function apt(t: TestContext, files: Record<string, string>): string {
  const folder = mkdtempSync(path.join(tmpdir(), "anvil-apt-"));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
  }
  return folder;
}

test("one-line entries give their roots in order, once each, with and without options", async (t) => {
  const folder = apt(t, {
    "sources.list": [
      "# deb http://commented.example/debian bookworm main",
      "deb http://one.example/debian/ bookworm main contrib # trailing words",
      "deb-src http://one.example/debian bookworm main",
      "  deb [ arch=amd64 signed-by=/usr/share/keyrings/a.gpg ] https://two.example/pub/debian trixie-backports main",
      "deb [trusted=yes] http://three.example:8080/mirror stable-updates main",
      "deb cdrom:[Debian 12]/ bookworm main",
      "deb file:/srv/debian bookworm main",
      "deb http://flat.example/debian ./",
      "nonsense",
    ].join("\n"),
  });
  assert.deepEqual((await aptMirrors(folder)).archive, [
    "http://one.example/debian",
    "https://two.example/pub/debian",
    "http://three.example:8080/mirror",
  ]);
});

test("deb822 entries may have several addresses, comments and continuation lines, and may be disabled", async (t) => {
  const folder = apt(t, {
    "sources.list.d/debian.sources": [
      "# the archive",
      "Types: deb deb-src",
      "URIs: http://one.example/debian",
      "# a comment inside",
      "  http://two.example/debian/",
      "Suites: bookworm bookworm-updates",
      "Components: main",
      "Signed-By:",
      " -----BEGIN PGP PUBLIC KEY BLOCK-----",
      " .",
      " mQINBF==",
      "",
      "Enabled: no",
      "Types: deb",
      "URIs: http://off.example/debian",
      "Suites: bookworm",
      "Components: main",
      "",
      "types: deb",
      "uris: http://three.example/debian",
      "suites: sid",
      "components: contrib main",
      "enabled: yes",
    ].join("\r\n"),
  });
  assert.deepEqual((await aptMirrors(folder)).archive, [
    "http://one.example/debian",
    "http://two.example/debian",
    "http://three.example/debian",
  ]);
});

test("archives of others and the security archive are no mirrors of the pool", async (t) => {
  const folder = apt(t, {
    "sources.list": [
      "deb http://security.example/debian-security bookworm-security main",
      "deb http://security.example/ buster/updates main",
      "deb https://packages.example/apt cloud-tool-bookworm main",
      "deb https://packages.example/docker bookworm stable",
    ].join("\n"),
    "sources.list.d/node.sources":
      "Types: deb\nURIs: https://node.example/node_20.x\nSuites: nodistro\nComponents: main\n",
    "sources.list.d/readme.txt": "deb http://text.example/debian bookworm main",
    "sources.list.d/old.list.save": "deb http://save.example/debian bookworm main",
  });
  assert.deepEqual((await aptMirrors(folder)).archive, []);
});

test("sources.list comes before the folder, whose files come in the order of their names", async (t) => {
  const folder = apt(t, {
    "sources.list.d/b.list": "deb http://b.example/debian bookworm main",
    "sources.list.d/a.sources": "URIs: http://a.example/debian\nSuites: bookworm\nComponents: main",
    "sources.list": "deb http://first.example/debian bookworm main",
  });
  assert.deepEqual((await aptMirrors(folder)).archive, [
    "http://first.example/debian",
    "http://a.example/debian",
    "http://b.example/debian",
  ]);
});

test("a mirror list in a file is read", async (t) => {
  const folder = apt(t, {
    "mirrors/debian.list":
      "http://one.example/debian\tpriority:1\n# none\n\nhttps://two.example/debian/\nftp://no.example/debian\n",
  });
  writeFileSync(
    path.join(folder, "sources.list"),
    [
      `deb mirror+file:${folder}/mirrors/debian.list bookworm main`,
      `deb mirror+file:${folder}/absent.list bookworm main`,
    ].join("\n"),
  );
  assert.deepEqual((await aptMirrors(folder)).archive, ["http://one.example/debian", "https://two.example/debian"]);
});

/** A choice in which nothing is named but what the test names. */
const choice = (fields: Partial<MirrorChoice>): MirrorChoice => ({
  flags: [],
  environment: undefined,
  apt: "/nonexistent",
  publicOnes: () => Promise.reject(new Error("public mirrors were asked for")),
  ...fields,
});

test("flags win over the environment, and the environment over APT", async (t) => {
  const folder = apt(t, { "sources.list": "deb http://apt.example/debian bookworm main" });
  const environment = "http://env.example/debian/, https://env2.example/d ,,";
  const archive = async (fields: Partial<MirrorChoice>): Promise<readonly string[]> =>
    (await debianMirrors(choice({ apt: folder, ...fields }))).archive;
  assert.deepEqual(await archive({ flags: ["http://flag.example/d//", "http://flag.example/d"], environment }), [
    "http://flag.example/d",
  ]);
  assert.deepEqual(await archive({ environment }), ["http://env.example/debian", "https://env2.example/d"]);
  for (const empty of [undefined, "", " , "])
    assert.deepEqual(await archive({ environment: empty }), ["http://apt.example/debian"]);
});

test("the archive of security updates is what is named for it, or beside each mirror", async (t) => {
  const folder = apt(t, {
    "sources.list": [
      "deb http://apt.example/debian bookworm main",
      "deb http://updates.example/security bookworm-security main contrib",
      "deb http://old.example/debian-security buster/updates main",
      "deb http://other.example/ubuntu jammy-security main",
    ].join("\n"),
  });
  const security = async (fields: Partial<MirrorChoice>): Promise<readonly string[]> =>
    (await debianMirrors(choice(fields))).security;
  const flags = [
    "http://a.example/debian",
    "http://b.example/pool-of-ours",
    "http://c.example/archive/debian/20250520T000000Z",
  ];
  const besides = [
    "http://a.example/debian-security",
    "http://b.example/pool-of-ours",
    "http://c.example/archive/debian-security/20250520T000000Z",
  ];
  assert.deepEqual(await security({ apt: folder, flags }), besides);
  assert.deepEqual(await security({ apt: folder }), [
    "http://updates.example/security",
    "http://old.example/debian-security",
    "http://apt.example/debian-security",
  ]);
  assert.deepEqual(await security({ apt: folder, securityEnvironment: "http://env.example/s" }), [
    "http://env.example/s",
  ]);
  assert.deepEqual(
    await security({ flags, securityFlags: ["http://flag.example/s"], securityEnvironment: "http://env.example/s" }),
    ["http://flag.example/s"],
  );
  assert.deepEqual(await security({ publicOnes: () => Promise.resolve(["http://p.example/debian"]) }), [
    "http://p.example/debian-security",
  ]);
});

test("an APT that has no entry for security updates is helped out by the public mirrors", async (t) => {
  const folder = apt(t, { "sources.list": "deb http://apt.example/debian bookworm main" });
  const { security, isPublic } = await debianMirrors(choice({ apt: folder }));
  assert.equal(isPublic, false);
  assert.equal(security[0], "http://apt.example/debian-security");
  assert.ok(security.length > 1 && security.slice(1).every((root) => root.endsWith("/debian-security")));
});

test("a file of the security archive is asked for there", () => {
  const mirrors = mirrorsAt(["http://a.example/debian"]);
  assert.deepEqual(placesInMirrors("pool/updates/main/p/postgresql-15/a.deb", mirrors), [
    "http://a.example/debian-security/pool/updates/main/p/postgresql-15/a.deb",
  ]);
  assert.deepEqual(placesInMirrors("dists/bookworm-security/InRelease", mirrors), [
    "http://a.example/debian-security/dists/bookworm-security/InRelease",
  ]);
  assert.deepEqual(placesInMirrors("pool/main/z/zlib/a.deb", mirrors), [
    "http://a.example/debian/pool/main/z/zlib/a.deb",
  ]);
});

test("where nothing names a mirror the public ones are taken", async (t) => {
  const absent = path.join(apt(t, {}), "absent");
  const ubuntu = apt(t, { "sources.list": "deb http://archive.example/ubuntu noble main" });
  for (const folder of [absent, ubuntu]) {
    const found = await debianMirrors(
      choice({ apt: folder, publicOnes: () => Promise.resolve(["https://p.example/debian"]) }),
    );
    assert.deepEqual(found.archive, ["https://p.example/debian"]);
    assert.equal(found.isPublic, true);
  }
});

/** Public mirrors on the loopback, which answer in the order in which the test lets them. */
test("public mirrors are asked at once, those that answer are taken in the order of their answers, and remembered", async (t) => {
  const client = new HttpClient({ env: {}, apt: "/nonexistent" });
  let finished = (): void => {};
  const quickAnswered = new Promise<void>((resolve) => (finished = resolve));
  // answers only when the quick one has, which it can only if both are asked at once
  const late = await serve(t, (request, response) => {
    void quickAnswered.then(() => file(Buffer.from("x"))(request, response));
  });
  const quick = await serve(t, (request, response) => {
    response.on("finish", finished);
    file(Buffer.from("x"))(request, response);
  });
  const empty = await serve(t, status(404));
  const memory = path.join(apt(t, {}), "memory.json");
  const roots = [late.root, empty.root, quick.root];
  const ask = (): Promise<string[]> => publicMirrors({ client, memory, roots });
  // both are there, and the one without the suite is not
  assert.deepEqual((await ask()).sort(), [late.root, quick.root].sort());
  assert.deepEqual((await ask()).sort(), [late.root, quick.root].sort());
  assert.equal(quick.requests.length, 1);
  assert.deepEqual(quick.requests, ["HEAD /dists/bookworm/InRelease"]);
  await publicMirrors({ client, memory, roots: [quick.root] });
  assert.equal(quick.requests.length, 2, "other mirrors are another question");
});

test("when no public mirror answers, each is named with its reason", async (t) => {
  const client = new HttpClient({ env: {}, apt: "/nonexistent" });
  const [empty, dead] = [await serve(t, status(404)), await refusingRoot()];
  const mute = await serve(t, () => {});
  const roots = [empty.root, dead, mute.root];
  await assert.rejects(publicMirrors({ client, roots, limit: 300 }), {
    code: "E_NO_MIRROR",
    details: [
      `${empty.root}: HTTP status 404`,
      `${dead}: connection refused`,
      `${mute.root}: no answer within 0.3 s`,
    ].sort(),
    hint: /--debian-mirror .* ANVIL_DEBIAN_MIRROR/,
  });
});

test("the public mirrors are upstream's own hosts over https, with the archive of security updates beside", () => {
  assert.ok(PUBLIC_MIRRORS.length >= 3);
  for (const root of PUBLIC_MIRRORS) assert.match(root, /^https:\/\/[a-z.-]+\/debian$/);
  for (const root of mirrorsAt(PUBLIC_MIRRORS).security) assert.match(root, /\/debian-security$/);
});

test("a given mirror must be an http or https address", async (t) => {
  const folder = apt(t, {});
  for (const url of ["ftp://one.example/debian", "one.example/debian", "file:/srv/debian"]) {
    await assert.rejects(debianMirrors(choice({ flags: [url], apt: folder })), {
      code: "E_USAGE",
      message: `--debian-mirror: "${url}" is not an http or https URL`,
    });
  }
  await assert.rejects(debianMirrors(choice({ environment: "x", apt: folder })), {
    message: 'ANVIL_DEBIAN_MIRROR: "x" is not an http or https URL',
  });
});
