import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import {
  audit,
  checkAdvisories,
  loadAdvisories,
  pinnedOf,
  pinsOf,
  standing,
  type Advisory,
  type Pinned,
} from "../../src/source/advisories.ts";
import { channelNames, loadChannel } from "../../src/source/channel.ts";
import { projectRoot } from "../forge/rig.ts";

const advisory = (more: Partial<Advisory> = {}): Advisory => ({
  ids: ["CVE-2026-1234"],
  what: "it breaks",
  date: "2026-01-02",
  source: "its author",
  ...more,
});

const pinned = (version: string, ...patches: string[]): Pinned => ({ version, patches });

test("what is known is fixed by a version of the same series, or by one newer than all that are named", () => {
  const fixed = advisory({ fixedIn: ["2.2.11", "2.3.9", "2.4.4"] });
  const status = (version: string): string => standing(fixed, pinned(version)).status;
  assert.deepEqual(["2.3.2", "2.3.9", "2.3.10", "2.2.11", "2.2.6", "2.4.0", "2.5.0", "2.1.15"].map(status), [
    "open",
    "fixed",
    "fixed",
    "fixed",
    "open",
    "open",
    "fixed",
    "open",
  ]);
  assert.deepEqual(standing(fixed, pinned("2.3.9")), { status: "fixed", by: "version 2.3.9" });
  const major = advisory({ fixedIn: ["15.20", "16.16"] });
  assert.equal(standing(major, pinned("16.14")).status, "open", "15.20 says nothing of 16");
});

test("patches fix it only together, and only those that the pin applies", () => {
  const fixed = advisory({ patches: ["patches/a.patch", "patches/b.patch"], remark: "why" });
  assert.deepEqual(standing(fixed, pinned("1", "patches/b.patch", "patches/a.patch")), {
    status: "fixed",
    by: "patches/a.patch, patches/b.patch",
  });
  assert.deepEqual(standing(fixed, pinned("1", "patches/a.patch")), { status: "open", why: "why" });
  assert.deepEqual(standing(advisory(), pinned("1")), { status: "open" });
});

test("what is not reached, or came with a later version, is not open", () => {
  const off = advisory({ notAffected: "not compiled in", fixedIn: ["2.0"] });
  assert.deepEqual(standing(off, pinned("1.9")), { status: "not affected", why: "not compiled in" });
  assert.equal(standing(off, pinned("2.0")).status, "fixed");
  assert.equal(standing(advisory({ since: "3.2" }), pinned("3.0.22")).status, "not affected");
  assert.equal(standing(advisory({ since: "3.2" }), pinned("3.2")).status, "open");
});

test("an audit lists the named components, and of a seed's packages those that end up in the result", () => {
  const known = {
    musl: { looked: "2026-01-02", advisories: [advisory()] },
    "grub-common": { looked: "2026-01-02", seed: true as const, advisories: [] },
    bash: { looked: "2026-01-02", advisories: [advisory()] },
  };
  const pins = new Map([
    ["zlib", pinned("1.3")],
    ["musl", pinned("1.2.5")],
    ["bash", pinned("5.2")],
    ["grub-common", pinned("2.06")],
  ]);
  const found = audit(pins, known, ["musl", "zlib"]);
  assert.deepEqual(
    found.map(({ component, version, looked, advisories }) => [component, version, looked, advisories.length]),
    [
      ["grub-common", "2.06", "2026-01-02", 0],
      ["musl", "1.2.5", "2026-01-02", 1],
      ["zlib", "1.3", undefined, 0],
    ],
  );
});

test("a file that is wrong is refused with the JSON path of the fault", () => {
  const good = { zlib: { looked: "2026-01-02", read: "1.3-1", advisories: [advisory({ fixedIn: ["1.4"] })] } };
  assert.deepEqual(checkAdvisories(good, "file"), good);
  const cases: [value: unknown, where: string][] = [
    [[], "$"],
    [{ zlib: { advisories: [] } }, "$.zlib.looked"],
    [{ zlib: { looked: "today", advisories: [] } }, "$.zlib.looked"],
    [{ zlib: { looked: "2026-01-02" } }, "$.zlib.advisories"],
    [{ zlib: { looked: "2026-01-02", seed: false, advisories: [] } }, "$.zlib.seed"],
    [{ zlib: { looked: "2026-01-02", advisories: [{ ...advisory(), fixed: true }] } }, "$.zlib.advisories[0].fixed"],
    [
      { zlib: { looked: "2026-01-02", advisories: [{ ...advisory(), ids: ["CVE 1"] }] } },
      "$.zlib.advisories[0].ids[0]",
    ],
    [{ zlib: { looked: "2026-01-02", advisories: [{ ...advisory(), source: "" }] } }, "$.zlib.advisories[0].source"],
  ];
  for (const [value, where] of cases)
    assert.throws(() => checkAdvisories(value, "file"), { code: "E_CHANNEL", message: `file is wrong at ${where}` });
});

test("somebody has looked at every component that a channel pins, and what it patches is why", async () => {
  const known = await loadAdvisories(projectRoot);
  for (const name of await channelNames(projectRoot)) {
    const channel = await loadChannel(projectRoot, name);
    for (const [component, pin] of Object.entries(channel.components)) {
      const advisories = known[component]?.advisories ?? [];
      assert.ok(known[component], `${component} of ${name}`);
      const named = new Set(advisories.flatMap(({ patches = [] }) => patches.map((patch) => path.basename(patch))));
      const unnamed = pinnedOf(pin).patches.filter(
        (patch) => !/-tests\.\w+$/.test(patch) && !named.has(path.basename(patch)),
      );
      assert.deepEqual(unnamed, [], `patches of ${component} in ${name} that mend nothing known`);
    }
  }
});

test("the seed's packages that are named are pinned", async () => {
  const known = await loadAdvisories(projectRoot);
  const channel = await loadChannel(projectRoot, "debian");
  const pins = pinsOf(channel, [], Object.keys(channel.seeds));
  const named = Object.entries(known).filter(([, { seed }]) => seed === true);
  assert.ok(named.length > 0);
  for (const [name] of named) assert.ok(pins.has(name), name);
});
