import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { channelNames, chooseChannel, loadChannel } from "../../src/source/channel.ts";
import { refusingRoot, serve, status } from "./http-server.ts";

const project = projectRoot(path.dirname(fileURLToPath(import.meta.url)));
const hash = "0123456789abcdef".repeat(4);

/** The folder of channels/: a bundled test runs from a folder below dist. */
function projectRoot(folder: string): string {
  return existsSync(path.join(folder, "channels/debian.json")) ? folder : projectRoot(path.dirname(folder));
}

const good = {
  name: "rfc-0054",
  description: "for a test",
  epoch: 1,
  components: {
    zfs: {
      version: "2.2.6",
      urls: ["https://example.org/zfs"],
      sha256: hash,
      verified: "recorded",
      licence: "CDDL-1.0",
    },
  },
};
const debian = {
  ...good,
  name: "debian",
  components: {
    zfs: { version: "2.3.2", archive: "pool/zfs.tar.gz", sha256: hash, verified: "signed", licence: "CDDL-1.0" },
  },
};
const seeds = { base: [{ package: "bash", version: "5", archive: "pool/bash.deb", sha256: hash, size: 1 }] };

/** A project with the files of `channels/`. */
function projectWith(t: TestContext, files: Record<string, unknown>): string {
  const root = mkdtempSync(path.join(tmpdir(), "anvil-channel-"));
  t.after(() => rmSync(root, { recursive: true }));
  mkdirSync(path.join(root, "channels"));
  for (const [name, value] of Object.entries(files)) {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    writeFileSync(path.join(root, "channels", name), text);
  }
  return root;
}

function withComponent(change: object): object {
  return { ...good, components: { zfs: { ...good.components.zfs, ...change } } };
}

test("the channels of this project are sound and share their seeds", async () => {
  assert.deepEqual(await channelNames(project), ["debian", "rfc-0054"]);
  const [nearest, exact] = await Promise.all([loadChannel(project, "debian"), loadChannel(project, "rfc-0054")]);
  assert.deepEqual(nearest.seeds, exact.seeds);
  for (const component of Object.values(nearest.components)) {
    assert.ok(component.archive);
    // what no mirror has yet comes from its authors
    if (component.verified === "recorded") assert.ok(component.urls);
  }
  const missing = Object.keys(nearest.components).filter((name) => exact.components[name] === undefined);
  assert.deepEqual(missing, [], "what a recipe can take from one channel is in the other");
});

test("rfc-0054 holds the series that the design asks for, and doubtful pins say why", async () => {
  const { components } = await loadChannel(project, "rfc-0054");
  assert.match(components["linux"]?.version ?? "", /^6\.6\.\d+$/);
  assert.match(components["zfs"]?.version ?? "", /^2\.2\.\d+$/);
  assert.match(components["postgresql"]?.version ?? "", /^16\.\d+$/);
  for (const name of ["firecracker", "hydra-columnar", "micro-http"]) assert.ok(components[name]?.unverified, name);
});

test("no host name of a package archive stands in the channel debian", () => {
  for (const file of ["debian.json", "seed.json"]) {
    assert.doesNotMatch(readFileSync(path.join(project, "channels", file), "utf8"), /debian\.org/);
  }
});

test("an unknown channel's fault names those that there are", async (t) => {
  const root = projectWith(t, { "debian.json": debian, "rfc-0054.json": good, "seed.json": seeds });
  for (const name of ["debain", "seed", "../debian"]) {
    await assert.rejects(loadChannel(root, name), { code: "E_CHANNEL", hint: "channels here: debian, rfc-0054" });
  }
});

test("a channel file that is wrong is refused with the JSON path of the fault", async (t) => {
  const cases: [value: unknown, where: string][] = [
    [[], "$"],
    [{ ...good, name: "other" }, "$.name"],
    [{ ...good, description: undefined }, "$.description"],
    [{ ...good, epoch: -1 }, "$.epoch"],
    [{ ...good, epoch: "today" }, "$.epoch"],
    [{ ...good, extra: 1 }, "$.extra"],
    [{ ...good, components: [] }, "$.components"],
    [withComponent({ version: 2 }), "$.components.zfs.version"],
    [withComponent({ sha256: hash.toUpperCase() }), "$.components.zfs.sha256"],
    [withComponent({ sha256: undefined }), "$.components.zfs.sha256"],
    [withComponent({ size: 1.5 }), "$.components.zfs.size"],
    [withComponent({ verified: "perhaps" }), "$.components.zfs.verified"],
    [withComponent({ unverified: "" }), "$.components.zfs.unverified"],
    [withComponent({ urls: ["https://example.org/a", "ftp://example.org/a"] }), "$.components.zfs.urls[1]"],
    [withComponent({ urls: "https://example.org/a" }), "$.components.zfs.urls"],
    [withComponent({ urls: [] }), "$.components.zfs"],
    [withComponent({ urls: undefined }), "$.components.zfs"],
    [withComponent({ archive: "/pool/a" }), "$.components.zfs.archive"],
    [withComponent({ archive: "pool/../../a" }), "$.components.zfs.archive"],
    [withComponent({ licence: null }), "$.components.zfs.licence"],
    [withComponent({ sha265: hash }), "$.components.zfs.sha265"],
  ];
  for (const [value, where] of cases) {
    const root = projectWith(t, { "rfc-0054.json": value, "seed.json": seeds });
    await assert.rejects(
      loadChannel(root, "rfc-0054"),
      { code: "E_CHANNEL", message: `channels/rfc-0054.json is wrong at ${where}` },
      JSON.stringify(value),
    );
  }
});

test("seeds that are wrong are refused in the same way", async (t) => {
  const cases: [value: unknown, where: string][] = [
    [{ base: {} }, "$.base"],
    [{ base: [seeds.base[0], { ...seeds.base[0], sha256: "x" }] }, "$.base[1].sha256"],
    [{ base: [{ ...seeds.base[0], size: undefined }] }, "$.base[0].size"],
  ];
  for (const [value, where] of cases) {
    const root = projectWith(t, { "debian.json": debian, "seed.json": value });
    await assert.rejects(loadChannel(root, "debian"), { message: `channels/seed.json is wrong at ${where}` });
  }
});

test("a file that is no JSON or not there is a fault, not a stack trace", async (t) => {
  const broken = projectWith(t, { "debian.json": "{", "seed.json": seeds });
  await assert.rejects(loadChannel(broken, "debian"), {
    code: "E_CHANNEL",
    message: /^channels\/debian\.json cannot be read/,
  });
  const without = projectWith(t, { "debian.json": debian });
  await assert.rejects(loadChannel(without, "debian"), { message: "channels/seed.json cannot be read: ENOENT" });
});

test("a channel that is named is taken without asking anybody", async (t) => {
  const root = projectWith(t, { "debian.json": debian, "seed.json": seeds });
  const hasSource = (): never => assert.fail("not asked");
  const { channel, why } = await chooseChannel("debian", { projectRoot: root, hasSource });
  assert.equal(channel.name, "debian");
  assert.equal(why, "asked for");
});

function autoProject(t: TestContext, urls: readonly string[], more: object = {}): string {
  const exact = { ...withComponent({ urls }), ...more };
  return projectWith(t, { "debian.json": debian, "rfc-0054.json": exact, "seed.json": seeds });
}

test("auto takes rfc-0054 when its sites answer, be it by a redirection", async (t) => {
  const site = await serve(t, (_request, response) => response.writeHead(302, { location: "http://x.invalid/" }).end());
  const projectRoot = autoProject(t, [`${await refusingRoot()}/zfs`, `${site.root}/zfs`]);
  const { channel, why } = await chooseChannel("auto", { projectRoot, hasSource: () => false });
  assert.equal(channel.name, "rfc-0054");
  assert.equal(why, "its release sites answer");
  assert.deepEqual(site.requests, ["HEAD /zfs"]);
});

test("auto takes debian when a site is dead, lacks the file or does not answer in time", async (t) => {
  const dead = await refusingRoot();
  const lacking = await serve(t, status(404));
  const mute = await serve(t, () => {});
  for (const root of [dead, lacking.root, mute.root]) {
    const projectRoot = autoProject(t, [`${root}/zfs`]);
    const { channel, why } = await chooseChannel("auto", { projectRoot, hasSource: () => false, limit: 50 });
    assert.equal(channel.name, "debian");
    assert.equal(why, `rfc-0054 needs zfs from ${new URL(root).host}, which cannot be reached`);
  }
});

test("auto takes rfc-0054 without asking when all of its sources are here", async (t) => {
  const site = await serve(t, status(500));
  const projectRoot = autoProject(t, [`${site.root}/zfs`]);
  const { channel, why } = await chooseChannel("auto", { projectRoot, hasSource: (sha256) => sha256 === hash });
  assert.equal(channel.name, "rfc-0054");
  assert.equal(why, "all of its sources are here");
  assert.deepEqual(site.requests, []);
});

test("auto asks only for the components that are needed", async (t) => {
  const projectRoot = autoProject(t, [`${await refusingRoot()}/zfs`]);
  const { channel } = await chooseChannel("auto", { projectRoot, hasSource: () => false, needed: ["linux"] });
  assert.equal(channel.name, "rfc-0054");
});

test("what the sites answered is remembered, for these sources", async (t) => {
  const site = await serve(t, status(200));
  const projectRoot = autoProject(t, [`${site.root}/zfs`]);
  const memory = path.join(projectRoot, "memory.json");
  const options = { projectRoot, hasSource: () => false, memory };
  await chooseChannel("auto", options);
  assert.equal((await chooseChannel("auto", options)).channel.name, "rfc-0054");
  assert.equal(site.requests.length, 1);

  const elsewhere = autoProject(t, [`${await refusingRoot()}/zfs`]);
  cpSync(memory, path.join(elsewhere, "memory.json"));
  const asked = await chooseChannel("auto", { ...options, projectRoot: elsewhere });
  assert.equal(asked.channel.name, "debian");
  assert.equal((await chooseChannel("auto", { ...options, projectRoot: elsewhere })).why, asked.why);
});

test("a memory that is damaged or an hour old is not believed", async (t) => {
  const site = await serve(t, status(200));
  const projectRoot = autoProject(t, [`${site.root}/zfs`]);
  const memory = path.join(projectRoot, "memory.json");
  const options = { projectRoot, hasSource: () => false, memory };
  await chooseChannel("auto", options);
  const kept = JSON.parse(readFileSync(memory, "utf8")) as { at: number };
  for (const text of ["{", JSON.stringify({ ...kept, at: kept.at - 3_600_000 })]) {
    const before = site.requests.length;
    writeFileSync(memory, text);
    await chooseChannel("auto", options);
    assert.equal(site.requests.length, before + 1);
  }
});
