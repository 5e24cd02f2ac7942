import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { channelNames, isProven, loadChannel, pinsDigest, standing } from "../../src/source/channel.ts";
import { compareDebianVersions } from "../../src/source/debian-version.ts";

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
const proven = { date: "2026-11-30", pins: hash, built: ["iso"], result: "it boots" };
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

test("the channels of this project are sound, share their seeds and have the same components", async () => {
  const names = await channelNames(project);
  for (const name of ["debian", "debian-12", "debian-next", "rfc-0054"]) assert.ok(names.includes(name), name);
  const exact = await loadChannel(project, "rfc-0054");
  for (const name of names.filter((each) => each !== exact.name)) {
    const built = await loadChannel(project, name);
    assert.deepEqual(built.seeds, exact.seeds);
    assert.equal(built.epoch, exact.epoch, `${name}: the clock of the steps`);
    for (const component of Object.values(built.components)) {
      assert.ok(component.archive);
      // what no mirror has yet comes from its authors
      if (component.verified === "recorded") assert.ok(component.urls);
    }
    const missing = Object.keys(built.components).filter((each) => exact.components[each] === undefined);
    assert.deepEqual(missing, [], `what a recipe can take from ${name} is in the other`);
  }
});

for (const [channel, side] of [
  ["debian-12", "older"],
  ["debian-next", "newer"],
] as const) {
  test(`${channel} is ${side} than what the design asks for, where it is not the same`, async () => {
    const [neighbour, exact] = await Promise.all([loadChannel(project, channel), loadChannel(project, "rfc-0054")]);
    for (const [name, { version }] of Object.entries(neighbour.components)) {
      const asked = exact.components[name]?.version ?? "";
      const order = compareDebianVersions(version, asked);
      assert.ok(side === "older" ? order <= 0 : order >= 0, `${name} ${version}, asked for is ${asked}`);
    }
  });
}

test("rfc-0054 holds the series that the design asks for, and doubtful pins say why", async () => {
  const { components } = await loadChannel(project, "rfc-0054");
  assert.match(components["linux"]?.version ?? "", /^6\.6\.\d+$/);
  assert.match(components["zfs"]?.version ?? "", /^2\.2\.\d+$/);
  assert.match(components["postgresql"]?.version ?? "", /^16\.\d+$/);
  for (const name of ["firecracker", "hydra-columnar", "micro-http"]) assert.ok(components[name]?.unverified, name);
});

test("each channel says whether it was built whole; one that was is the default", async () => {
  const channels = await Promise.all((await channelNames(project)).map((name) => loadChannel(project, name)));
  for (const channel of channels) {
    assert.ok(channel.proven !== undefined || channel.unproven !== undefined, channel.name);
    // `npm run prove -- <channel>` builds and boots it and writes the record
    if (channel.proven !== undefined) assert.ok(isProven(channel), `${channel.name} was built with other pins`);
  }
  const standard = channels.filter((channel) => channel.default === true);
  assert.equal(standard.length, 1);
  assert.ok(standard.every(isProven));
});

test("a record is of the pins that a channel was built with, whatever else its file says", async (t) => {
  const load = (exact: object, list: object = seeds): ReturnType<typeof loadChannel> =>
    loadChannel(projectWith(t, { "rfc-0054.json": exact, "seed.json": list }), "rfc-0054");
  const pins = pinsDigest(await load(good));
  const record = { ...proven, pins };
  assert.equal(standing(await load({ ...good, proven: record })), "built and booted on 2026-11-30");
  assert.equal(
    standing(await load({ ...good, proven: record, description: "other" })),
    "built and booted on 2026-11-30",
  );
  for (const changed of [
    await load({ ...withComponent({ sha256: hash.replace("0", "1") }), proven: record }),
    await load({ ...withComponent({ version: "2.2.7" }), proven: record }),
    await load({ ...good, proven: record }, { base: [{ ...seeds.base[0], sha256: hash.replace("0", "1") }] }),
    await load({ ...good, proven: record }, { base: [] }),
  ]) {
    assert.equal(isProven(changed), false);
    assert.equal(standing(changed), "built and booted on 2026-11-30, with other pins");
  }
  assert.equal(standing(await load(good)), "never built whole");
});

test("no host name of a package archive stands in a channel", () => {
  for (const file of readdirSync(path.join(project, "channels")).filter((name) => name.endsWith(".json"))) {
    if (file === "advisories.json") continue;
    assert.doesNotMatch(readFileSync(path.join(project, "channels", file), "utf8"), /debian\.(?:org|net)|crates\.io/);
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
    [{ ...good, default: "yes" }, "$.default"],
    [{ ...good, unproven: "" }, "$.unproven"],
    [{ ...good, proven: { ...proven, date: "today" } }, "$.proven.date"],
    [{ ...good, proven: { ...proven, pins: "x" } }, "$.proven.pins"],
    [{ ...good, proven: { ...proven, result: undefined } }, "$.proven.result"],
    [{ ...good, proven: { ...proven, built: [] } }, "$.proven.built"],
    [{ ...good, proven: { ...proven, built: ["../iso"] } }, "$.proven.built[0]"],
    [{ ...good, proven, unproven: "never" }, "$.unproven"],
    [{ ...good, places: { zfs: { package: "zfs-linux", suites: [], licence: "x" } } }, "$.places.zfs.suites"],
    [{ ...good, places: { zfs: { package: "zfs-linux", suites: ["../a"], licence: "x" } } }, "$.places.zfs.suites[0]"],
    [{ ...good, places: { zfs: { package: "zfs-linux", suites: ["sid"] } } }, "$.places.zfs.licence"],
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
