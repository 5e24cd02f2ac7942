import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { aptMirrors, debianMirrors } from "../../src/source/mirror.ts";

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
  assert.deepEqual(await aptMirrors(folder), [
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
  assert.deepEqual(await aptMirrors(folder), [
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
  assert.deepEqual(await aptMirrors(folder), []);
});

test("sources.list comes before the folder, whose files come in the order of their names", async (t) => {
  const folder = apt(t, {
    "sources.list.d/b.list": "deb http://b.example/debian bookworm main",
    "sources.list.d/a.sources": "URIs: http://a.example/debian\nSuites: bookworm\nComponents: main",
    "sources.list": "deb http://first.example/debian bookworm main",
  });
  assert.deepEqual(await aptMirrors(folder), [
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
  assert.deepEqual(await aptMirrors(folder), ["http://one.example/debian", "https://two.example/debian"]);
});

test("flags win over the environment, and the environment over APT", async (t) => {
  const folder = apt(t, { "sources.list": "deb http://apt.example/debian bookworm main" });
  const environment = "http://env.example/debian/, https://env2.example/d ,,";
  assert.deepEqual(
    await debianMirrors({ flags: ["http://flag.example/d//", "http://flag.example/d"], environment, apt: folder }),
    ["http://flag.example/d"],
  );
  assert.deepEqual(await debianMirrors({ flags: [], environment, apt: folder }), [
    "http://env.example/debian",
    "https://env2.example/d",
  ]);
  for (const empty of [undefined, "", " , "]) {
    assert.deepEqual(await debianMirrors({ flags: [], environment: empty, apt: folder }), [
      "http://apt.example/debian",
    ]);
  }
});

test("without any mirror the fault says how to name one", async (t) => {
  const absent = path.join(apt(t, {}), "absent");
  await assert.rejects(debianMirrors({ flags: [], environment: undefined, apt: absent }), {
    code: "E_NO_MIRROR",
    details: [`${absent} names none`],
    hint: /--debian-mirror .* ANVIL_DEBIAN_MIRROR/,
  });
});

test("a given mirror must be an http or https address", async (t) => {
  const folder = apt(t, {});
  for (const url of ["ftp://one.example/debian", "one.example/debian", "file:/srv/debian"]) {
    await assert.rejects(debianMirrors({ flags: [url], environment: undefined, apt: folder }), {
      code: "E_USAGE",
      message: `--debian-mirror: "${url}" is not an http or https URL`,
    });
  }
  await assert.rejects(debianMirrors({ flags: [], environment: "x", apt: folder }), {
    message: 'ANVIL_DEBIAN_MIRROR: "x" is not an http or https URL',
  });
});
