/** A folder with an image: how it is found, loaded, started and planned. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, test } from "node:test";
import { catalogueOf } from "../../recipes/catalogue.ts";
import * as words from "../../recipes/words.ts";
import { Fault } from "../../src/fault/fault.ts";
import { Project } from "../../src/project/project.ts";
import { findImage, IMAGE_FILE } from "../../src/project/image.ts";
import { exampleNames, startImage } from "../../src/project/starter.ts";
import type { Output } from "../../src/recipe/recipe.ts";
import { reachable } from "../../src/recipe/reach.ts";
import { projectRoot, temporaryFolder } from "../forge/rig.ts";

const find = (folder: string) => findImage(folder, () => Promise.resolve(words));

/** A folder with this image. */
function folderWith(image: string, more: Readonly<Record<string, string>> = {}): string {
  const folder = temporaryFolder({ after });
  for (const [name, text] of Object.entries({ [IMAGE_FILE]: image, ...more })) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
  }
  return folder;
}

async function refusal(act: () => Promise<unknown>): Promise<Fault> {
  try {
    await act();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

test("a folder without an image has none, and nothing is loaded for it", async () => {
  const loaded = () => assert.fail("words are loaded");
  assert.equal(await findImage(temporaryFolder({ after }), loaded), undefined);
});

test("an image is a value in TypeScript, with files beside it, and its packages are those of this program", async () => {
  const folder = folderWith(
    `import { image, lz4 } from "anvilos";
     import { motd } from "./texts.ts";
     interface Texts { readonly motd: string }
     const texts: Texts = { motd };
     export default image({ name: "mine", packages: [lz4], files: { "etc/motd": { text: texts.motd, wins: true } } });`,
    { "texts.ts": 'export const motd: string = "hello\\n";' },
  );
  const found = await find(folder);
  assert.equal(found?.name, "mine");
  assert.equal(found.packages?.[0], words.lz4);
  assert.deepEqual(found.files, { "etc/motd": { text: "hello\n", wins: true } });
});

test("a file that cannot be compiled, that reads the machine, that fails or that has no image is refused with the place", async () => {
  const syntax = await refusal(() => find(folderWith("export default image(\n")));
  assert.equal(syntax.code, "E_IMAGE");
  assert.match(syntax.details[0] ?? "", /^anvil\.image\.ts:2:1: /);
  const node = await refusal(() => find(folderWith('import "node:fs";')));
  assert.match(node.details[0] ?? "", /^anvil\.image\.ts:1:8: Could not resolve "node:fs"/);
  const unknown = await refusal(() => find(folderWith('import { busybx } from "anvilos"; export default busybx;')));
  assert.match(unknown.details[0] ?? "", /^anvil\.image\.ts:1:10: No matching export .* for import "busybx"/);
  const thrown = await refusal(() => find(folderWith('\n\nthrow new Error("no disk");')));
  assert.equal(thrown.message, "anvil.image.ts ends with an error: no disk");
  assert.match(thrown.details[0] ?? "", /anvil\.image\.ts:3:/);
  const none = await refusal(() => find(folderWith("export default { name: 'mine' };")));
  assert.equal(none.message, "anvil.image.ts has no image");
  const wrong = await refusal(() =>
    find(folderWith('import { image } from "anvilos"; export default image({ name: 7 });')),
  );
  assert.deepEqual(wrong.details, ["name: lower-case letters, digits and -, up to 63 is wanted, not 7"]);
});

/** The project as it is for whoever starts `anvil` in the folder. */
const projectIn = (folder: string): Project =>
  new Project({
    root: projectRoot,
    env: { ANVIL_CACHE: temporaryFolder({ after }), XDG_CONFIG_HOME: folder },
    home: folder,
    folder,
    catalogue: async () => catalogueOf(await find(folder)),
  });

async function planOf(project: Project): Promise<Map<string, Output>> {
  const targets = await project.targets();
  const { channel } = await project.selectChannel("debian");
  const evaluation = project.evaluate([targets.image(), ...targets.ingotBodies(channel)], channel);
  assert.ok(evaluation.nodes.size > 100);
  return new Map([...reachable([targets.image()])].map((output) => [output.name, output]));
}

for (const example of exampleNames(projectRoot)) {
  test(`the example ${example} can be started from and planned, with all of its files`, async () => {
    const folder = path.join(temporaryFolder({ after }), "new");
    const files = startImage(projectRoot, folder, example);
    assert.ok(files.includes(IMAGE_FILE) && files.every((name) => existsSync(path.join(folder, name))));
    const settings = JSON.parse(readFileSync(path.join(folder, "tsconfig.json"), "utf8")) as {
      readonly compilerOptions: { readonly paths: { readonly anvilos: readonly string[] } };
    };
    assert.ok(existsSync(settings.compilerOptions.paths.anvilos[0] ?? ""));
    const project = projectIn(folder);
    const outputs = await planOf(project);
    const image = await find(folder);
    for (const each of image?.packages ?? []) assert.ok(outputs.has("kind" in each ? each.name : each.from.name));
    // the whole catalogue holds together: no two recipes of one name
    assert.ok((await project.targets()).outputs().has("iso"));
    assert.equal((await project.targets()).usualRootLogin(), example === "starter");
  });
}

test("nothing is written over, and an example that there is not is named with those that there are", async () => {
  const folder = folderWith("export default 1;");
  const taken = await refusal(() => Promise.resolve().then(() => startImage(projectRoot, folder, "starter")));
  assert.equal(taken.code, "E_IMAGE_EXISTS");
  assert.deepEqual(readdirSync(folder), [IMAGE_FILE]);
  const unknown = await refusal(() => Promise.resolve().then(() => startImage(projectRoot, folder, "router")));
  assert.equal(unknown.code, "E_NO_TARGET");
  assert.equal(unknown.hint, "examples: ci-runner, database, nas, starter");
});
