/** What a recipe names is used: an input or a file that its script never speaks of is a mistake nobody would see. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { catalogue } from "../../recipes/catalogue.ts";
import { versionsOf } from "../../src/forge/evaluate.ts";
import { reachable } from "../../src/recipe/reach.ts";
import { folderOf, isRecipe } from "../../src/recipe/recipe.ts";
import { stepScript } from "../../src/recipe/step.ts";
import { loadChannel } from "../../src/source/channel.ts";
import { projectRoot } from "../forge/rig.ts";

const channel = await loadChannel(projectRoot, "debian");
const { image, ingots, checks } = catalogue;
const images = [true, false].map((rootLogin) =>
  image.make({ rootLogin, trust: ["ab".repeat(32)], logins: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM1U"] }),
);
const recipes = [...reachable([...images, ...ingots.map(({ body }) => body), ...checks])].filter(isRecipe);

/** The text has the name as a word of its own. */
const speaksOf = (script: string, name: string): boolean =>
  new RegExp(`(?<![A-Za-z0-9-])${name.replaceAll(/[.+]/g, "\\$&")}(?![A-Za-z0-9-])`).test(script);

/** It has the name of the file, or of a folder above it, below /files; what begins with a dot is read by whoever knows it. */
function reads(script: string, file: string): boolean {
  const above = file.split("/").map((_, index, parts) => parts.slice(0, index + 1).join("/"));
  return script.includes(file) || above.some((part) => script.includes(`/files/${part}`)) || file.startsWith(".");
}

test("every recipe speaks of each of its inputs and files in its script", () => {
  const versions = versionsOf(channel);
  const known = recipes.filter(({ sources }) => sources.every(({ component }) => component in channel.components));
  assert.ok(known.length > 60);
  const unused = known.flatMap((recipe) => {
    const script = stepScript(recipe, versions);
    return [
      ...recipe.inputs.map(folderOf).filter((name) => !speaksOf(script, name)),
      ...recipe.files.filter((name) => !reads(script, name)),
    ].map((name) => `${recipe.name}: ${name}`);
  });
  assert.deepEqual(unused, []);
});
