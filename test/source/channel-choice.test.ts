import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { chooseChannel, readChoice, setChannel, settleChannel } from "../../src/source/channel-choice.ts";
import { pinsDigest, loadChannel } from "../../src/source/channel.ts";
import { temporaryFolder } from "../forge/rig.ts";

const hash = "0123456789abcdef".repeat(4);
const components = {
  zfs: { version: "2", archive: "pool/zfs.tar.gz", sha256: hash, verified: "signed", licence: "CDDL-1.0" },
};
const seeds = { base: [{ package: "bash", version: "5", archive: "pool/bash.deb", sha256: hash, size: 1 }] };

/** A project with two channels: "near", the default, which was built whole, and "far", which never was. */
async function twoChannels(t: TestContext): Promise<string> {
  const root = temporaryFolder(t);
  mkdirSync(path.join(root, "channels"));
  const write = (name: string, value: object): void =>
    writeFileSync(path.join(root, "channels", `${name}.json`), JSON.stringify(value));
  write("seed", seeds);
  write("far", { name: "far", description: "x", epoch: 1, components, unproven: "nobody had its sources" });
  const near = { name: "near", description: "x", epoch: 1, components, default: true };
  write("near", near);
  const pins = pinsDigest(await loadChannel(root, "near"));
  write("near", { ...near, proven: { date: "2026-11-30", pins, built: ["iso"], result: "it boots" } });
  return root;
}

const choiceOf = (root: string): string => path.join(root, ".anvil/channel.json");

test("without a choice it is the default, and the first line says what else there is and what is known of it", async (t) => {
  const projectRoot = await twoChannels(t);
  const { channel, why } = await chooseChannel("auto", { projectRoot });
  assert.equal(channel.name, "near");
  assert.equal(why, "the default, built and booted on 2026-11-30; by name there is also far, never built whole");
  assert.equal(existsSync(choiceOf(projectRoot)), false, "looking chooses nothing");
});

test("one that was never built is taken by name only, and says so", async (t) => {
  const projectRoot = await twoChannels(t);
  const { channel, why } = await chooseChannel("far", { projectRoot });
  assert.equal(channel.name, "far");
  assert.equal(
    why,
    "asked for, never built whole (nobody had its sources); by name there is also near, built and booted on 2026-11-30",
  );
});

test("what is built first is the choice of the folder, for whatever is built there later", async (t) => {
  for (const first of ["far", "near"]) {
    const projectRoot = await twoChannels(t);
    await settleChannel(first, { projectRoot });
    const later = await settleChannel("auto", { projectRoot });
    assert.equal(later.channel.name, first);
    assert.match(later.why, /^chosen for this folder, /);
    const other = first === "far" ? "near" : "far";
    await assert.rejects(settleChannel(other, { projectRoot }), {
      code: "E_CHANNEL_CHOICE",
      message: `this folder builds channel ${first}, not ${other}`,
      hint: new RegExp(`^anvil channel ${other} `),
    });
    assert.equal((await chooseChannel(other, { projectRoot })).channel.name, other, "it can be looked at");
    assert.equal(await readChoice(projectRoot), first);
  }
});

test("the default that was built stays when another channel becomes the default", async (t) => {
  const projectRoot = await twoChannels(t);
  await settleChannel("auto", { projectRoot });
  const file = path.join(projectRoot, "channels/near.json");
  writeFileSync(file, readFileSync(file, "utf8").replace('"default":true,', ""));
  assert.equal((await settleChannel("auto", { projectRoot })).channel.name, "near");
});

test("the choice is changed by name", async (t) => {
  const projectRoot = await twoChannels(t);
  await settleChannel("near", { projectRoot });
  await setChannel(projectRoot, "far");
  assert.equal((await settleChannel("auto", { projectRoot })).channel.name, "far");
  await assert.rejects(setChannel(projectRoot, "fra"), { code: "E_CHANNEL", hint: "channels here: far, near" });
  assert.equal(await readChoice(projectRoot), "far");
});

test("the environment takes the place of the choice, and leaves it as it is", async (t) => {
  const projectRoot = await twoChannels(t);
  await settleChannel("near", { projectRoot });
  const { channel, why } = await settleChannel("auto", { projectRoot, environment: "far" });
  assert.equal(channel.name, "far");
  assert.match(why, /^named by ANVIL_CHANNEL, /);
  assert.equal(await readChoice(projectRoot), "near");
  await assert.rejects(settleChannel("near", { projectRoot, environment: "far" }), {
    code: "E_CHANNEL_CHOICE",
    message: "this folder builds channel far, not near",
  });
});

test("of builds that start at once with different channels one wins", async (t) => {
  const projectRoot = await twoChannels(t);
  const ends = await Promise.allSettled(
    ["far", "near", "far", "near"].map((name) => settleChannel(name, { projectRoot })),
  );
  const winner = (await readChoice(projectRoot)) ?? "";
  for (const [index, end] of ends.entries())
    assert.equal(end.status === "fulfilled", (index % 2 === 0 ? "far" : "near") === winner);
});

test("a choice that is damaged, or of a channel that is gone, is a fault with a way out", async (t) => {
  for (const text of ["{", "[]", '{"channel":"gone"}', '{"channel":"../channels/near"}']) {
    const projectRoot = await twoChannels(t);
    mkdirSync(path.join(projectRoot, ".anvil"));
    writeFileSync(choiceOf(projectRoot), text);
    await assert.rejects(settleChannel("auto", { projectRoot }), {
      code: "E_CHANNEL",
      message: ".anvil/channel.json names no channel of this project",
      hint: "anvil channel <name>   writes it anew; channels here: far, near",
    });
    await setChannel(projectRoot, "near");
    assert.equal(await readChoice(projectRoot), "near");
  }
});
