import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { channelNames, loadChannel } from "../../src/source/channel.ts";
import { project } from "../this-project.ts";
import { channelBrackets, channelsTable, lacking, replaceTable } from "./channels-table.ts";

const page = readFileSync(path.join(project.root, "docs/channels.md"), "utf8");

test("the table of docs/channels.md is what the channel files say: node scripts/channels-page.mjs writes it", async () => {
  assert.equal(replaceTable(page, await channelsTable()), page);
});

test("each version that no channel has a neighbour of on both sides is named with the reason, and no other", async () => {
  const [, section = ""] = page.split("\n## What has no neighbour on both sides\n");
  const [table = ""] = section.split("\n## ");
  const named = [...table.matchAll(/^\| ([a-z0-9-]+) \| (?!why)/gm)].map((match) => match[1]);
  assert.deepEqual(named, lacking((await channelBrackets()).possible));
});

test("what a channel's record says was built are recipes", async () => {
  const targets = await project.targets();
  for (const name of await channelNames(project.root)) {
    const { proven } = await loadChannel(project.root, name);
    for (const recipe of proven?.built ?? []) assert.equal(targets.find(recipe, true).name, recipe);
  }
});
