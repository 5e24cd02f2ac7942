import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { AuthorKeys, KEY_FOLDER } from "../../src/source/author-keys.ts";
import { channelNames, loadChannel } from "../../src/source/channel.ts";
import { fill } from "../../src/source/release-list.ts";
import { projectRoot } from "../forge/rig.ts";

const channels = await Promise.all((await channelNames(projectRoot)).map((name) => loadChannel(projectRoot, name)));
const releases = channels.flatMap(({ releases: all = {}, components }) =>
  Object.entries(all).map(([name, release]) => ({ name, release, pin: components[name] })),
);

test("every key that a channel names is there, with its origin, and no other", async () => {
  const keys = new AuthorKeys(projectRoot);
  const named = releases.flatMap(({ release }) => [...(release.signature?.keys ?? []), ...(release.sums?.keys ?? [])]);
  const known = await keys.names();
  assert.deepEqual(known.sort(), [...new Set(named)].sort());
  for (const { key, user } of await keys.all(known)) assert.ok(key.getUserIDs().includes(user), user);
  const files = readdirSync(path.join(projectRoot, KEY_FOLDER)).filter((file) => file.endsWith(".asc"));
  assert.deepEqual(files.sort(), known.map((fingerprint) => `${fingerprint}.asc`).sort());
});

test("a pin is of the series of its release, at the places that it names", () => {
  assert.ok(releases.length > 30);
  for (const { name, release, pin } of releases) {
    assert.ok(pin !== undefined, name);
    assert.ok(pin.version.startsWith(release.series ?? ""), name);
    assert.deepEqual(
      pin.urls,
      release.urls.map((url) => fill(url, pin.version, release.series)),
    );
  }
});
