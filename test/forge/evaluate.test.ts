import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { seedBase } from "../../recipes/seed.ts";
import { Fault } from "../../src/fault/fault.ts";
import { compareVersions, evaluate } from "../../src/forge/evaluate.ts";
import { canonicalJson } from "../../src/forge/key.ts";
import type { Channel, Component } from "../../src/recipe/channel.ts";
import type { Key } from "../../src/recipe/derivation.ts";
import { contains, exists } from "../../src/recipe/proof.ts";
import { cpio, recipe, seed, source, type Output, type RecipeFields } from "../../src/recipe/recipe.ts";
import { step, temporaryFolder, testChannel } from "./rig.ts";

const zlib: Component = {
  version: "1.3",
  archive: "pool/zlib_1.3.tar.gz",
  sha256: "11".repeat(32),
  verified: "signed",
  licence: "Zlib",
};
const channel = await testChannel({ zlib });

function keyIn(output: Output, given: Channel = channel, project = "/nonexistent"): Key {
  return evaluate([output], { project, channel: given, pins: new Map() }).targets[0] as Key;
}

function refusal(act: () => unknown): Fault {
  try {
    act();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

const dep = step("dep", "touch /out/a");
const fields: RecipeFields = {
  name: "thing",
  licence: "MIT",
  source: source("zlib"),
  seed: seedBase,
  tools: [dep],
  env: { A: "1" },
  script: "make\nmake install",
  proves: [exists("usr/bin/thing")],
};
const same = keyIn(recipe(fields));

test("the key of a recipe does not depend on the order of its fields, its licence, or where its source comes from", () => {
  const { proves, script, ...rest } = fields;
  assert.equal(keyIn(recipe({ proves, script, ...rest })), same);
  assert.equal(keyIn(recipe({ ...fields, licence: "Apache-2.0" })), same);
  assert.equal(
    keyIn(recipe({ ...fields, script: "\n\nmake\nmake install\n\n" })),
    same,
    "blank lines around the script",
  );
  assert.equal(keyIn(recipe({ ...fields, script: () => "make\nmake install" })), same, "the same text from a function");
  const elsewhere = { ...zlib, archive: "other/place/zlib_1.3.tar.gz", size: 7, urls: ["http://localhost/z"] };
  assert.equal(keyIn(recipe(fields), { ...channel, name: "other", components: { zlib: elsewhere } }), same);
});

const changes: Record<string, Partial<RecipeFields>> = {
  name: { name: "thing2" },
  script: { script: "make\nmake install # really" },
  "a value of the environment": { env: { A: "2" } },
  "a name of the environment": { env: { B: "1" } },
  proofs: { proves: [exists("usr/bin/thing"), contains("usr/share/version", /1/)] },
  "the pattern of a proof": { proves: [exists("usr/bin/*")] },
  tools: { tools: [] },
  "the role of an input": { tools: [], inputs: [dep] },
  "the script of an input": { tools: [step("dep", "touch /out/b")] },
  seed: { seed: seed("cc", []) },
  sources: { source: [] },
};

for (const [name, change] of Object.entries(changes)) {
  test(`the key of a recipe depends on: ${name}`, () => {
    assert.notEqual(keyIn(recipe({ ...fields, ...change })), same);
  });
}

test("the key of a recipe depends on the version, the hash and the time stamp that the channel gives", () => {
  const key = (component: Partial<Component>, epoch = channel.epoch): Key =>
    keyIn(recipe(fields), { ...channel, epoch, components: { zlib: { ...zlib, ...component } } });
  const keys = [same, key({ version: "1.4" }), key({ sha256: "22".repeat(32) }), key({}, channel.epoch + 1)];
  assert.equal(new Set(keys).size, 4);
});

test("the key of a recipe depends on the packages of its seed", () => {
  const [first, ...rest] = channel.seeds[seedBase.name] ?? [];
  assert.ok(first !== undefined);
  const changed = [{ ...first, sha256: "33".repeat(32) }, ...rest];
  assert.notEqual(keyIn(recipe(fields), { ...channel, seeds: { ...channel.seeds, [seedBase.name]: changed } }), same);
});

test("the key of a recipe depends on the bytes, names and executable bits of project files, not on their folder", (t) => {
  const make = (files: Record<string, string>): string => {
    const project = temporaryFolder(t);
    mkdirSync(path.join(project, "system/etc"), { recursive: true });
    for (const [name, content] of Object.entries(files)) writeFileSync(path.join(project, "system/etc", name), content);
    return project;
  };
  const withFiles = recipe({ ...fields, files: ["system/etc"] });
  const base = { a: "1", b: "2" };
  const project = make(base);
  const key = keyIn(withFiles, channel, project);
  assert.equal(keyIn(withFiles, channel, make({ b: "2", a: "1" })), key);
  assert.notEqual(keyIn(withFiles, channel, make({ a: "1", b: "3" })), key);
  assert.notEqual(keyIn(withFiles, channel, make({ a: "1", c: "2" })), key);
  assert.notEqual(keyIn(withFiles, channel, make({ ...base, c: "" })), key);
  chmodSync(path.join(project, "system/etc/a"), 0o644);
  assert.equal(keyIn(withFiles, channel, project), key);
  chmodSync(path.join(project, "system/etc/a"), 0o600);
  assert.equal(keyIn(withFiles, channel, project), key, "who may read it does not count");
  chmodSync(path.join(project, "system/etc/a"), 0o755);
  assert.notEqual(keyIn(withFiles, channel, project), key);
});

test("a plan names what a node needs before the node, each once", () => {
  const left = step("left", "touch /out/l", { inputs: [dep] });
  const right = step("right", "touch /out/r", { inputs: [dep], source: source("zlib") });
  const archive = cpio("archive", step("top", "touch /out/t", { inputs: [left, right], source: source("zlib") }));
  const { nodes } = evaluate([archive, left], { project: "/", channel, pins: new Map() });
  const order = [...nodes.keys()];
  for (const { key, needs } of nodes.values()) {
    for (const need of needs) assert.ok(order.indexOf(need) < order.indexOf(key));
  }
  const names = [...nodes.values()].map(({ derivation }) => derivation.name);
  for (const name of ["zlib", "dep", "left", "right", "top", "archive"]) {
    assert.equal(names.filter((each) => each === name).length, 1, name);
  }
});

test("a script sees the versions of the channel", () => {
  const script = (version: string): string => {
    const given = { ...channel, components: { zlib: { ...zlib, version } } };
    const branching = recipe({
      ...fields,
      script: (versions) => `echo ${versions.of("zlib")} ${versions.atLeast("zlib", "1.3.1") ? "new" : "old"}`,
    });
    const { nodes, targets } = evaluate([branching], { project: "/", channel: given, pins: new Map() });
    const derivation = nodes.get(targets[0] as Key)?.derivation;
    return derivation?.kind === "step" ? (derivation.script.split("\n").at(-2) ?? "") : "";
  };
  assert.equal(script("1.3"), "echo 1.3 old");
  assert.equal(script("1.3.1"), "echo 1.3.1 new");
  assert.equal(script("1.10"), "echo 1.10 new");
});

test("versions are compared number by number", () => {
  for (const [a, b] of [
    ["6.12.95", "6.6"],
    ["2.2.10", "2.2.9"],
    ["1.3.1", "1.3"],
    ["10", "9.9.9"],
  ] as const) {
    assert.ok(compareVersions(a, b) > 0);
    assert.ok(compareVersions(b, a) < 0);
  }
  assert.equal(compareVersions("1.0", "1"), 0);
});

test("a source that the channel does not have is E_MISSING_SOURCE, and says who wants it and what there is", () => {
  const fault = refusal(() => keyIn(recipe({ ...fields, source: source("zlob") })));
  assert.equal(fault.code, "E_MISSING_SOURCE");
  assert.deepEqual(fault.details, ["wanted by thing", "known: zlib"]);
});

test("a version of a component that the channel does not have is E_MISSING_SOURCE too", () => {
  const fault = refusal(() => keyIn(recipe({ ...fields, script: (versions) => versions.of("zfs") })));
  assert.equal(fault.code, "E_MISSING_SOURCE");
});

test("a project file that does not exist is E_MISSING_FILE", (t) => {
  const project = temporaryFolder(t);
  const fault = refusal(() => keyIn(recipe({ ...fields, files: ["system/none"] }), channel, project));
  assert.equal(fault.code, "E_MISSING_FILE");
  assert.match(fault.message, /system\/none/);
  assert.deepEqual(fault.details, ["wanted by recipe thing"]);
});

test("a seed that the channel does not list is E_NO_SEED", () => {
  assert.equal(refusal(() => keyIn(seed("none", ["nonec"]))).code, "E_NO_SEED");
});

// Recipes are frozen and exist before whatever names them, so a circle cannot be written with honest means. What can
// happen: two modules import each other, and one sees the other's recipe as undefined; or somebody builds the value by hand.

test("a recipe is frozen: it cannot be made to need something later", () => {
  const thing = recipe(fields);
  assert.throws(() => Object.assign(thing, { tools: [thing] }), TypeError);
  assert.equal(keyIn(thing), same);
});

test("recipes in a circle are E_RECIPE_CYCLE, and the circle is shown", () => {
  const a = { ...recipe({ ...fields, name: "a" }), inputs: [] as Output[] };
  const b = recipe({ ...fields, name: "b", inputs: [a] });
  a.inputs.push(b);
  const fault = refusal(() => keyIn(b));
  assert.equal(fault.code, "E_RECIPE_CYCLE");
  assert.equal(fault.message, "a recipe needs itself: b → a → b");
});

test("a recipe whose module was not loaded yet is E_RECIPE_CYCLE", () => {
  const late = undefined as unknown as Output;
  const fault = refusal(() => keyIn(recipe({ ...fields, name: "early", tools: [late] })));
  assert.equal(fault.code, "E_RECIPE_CYCLE");
  assert.match(fault.message, /^a recipe needs itself: early → /);
});

test("canonical JSON sorts members, keeps the order of lists and leaves out what is undefined", () => {
  assert.equal(canonicalJson({ b: [2, 1], a: { d: undefined, c: null } }), '{"a":{"c":null},"b":[2,1]}');
  assert.equal(canonicalJson({ "": "é\n" }), '{"":"é\\n"}');
});
