/** Trees made of trees, laid out by the real script in the real sandbox. */
import assert from "node:assert/strict";
import { chmodSync, existsSync, readlinkSync, statSync } from "node:fs";
import path from "node:path";
import { after, test } from "node:test";
import { seedBase } from "../../recipes/seed.ts";
import type { Channel } from "../../src/recipe/channel.ts";
import {
  builtByAnvilCc,
  exists,
  isStatic,
  isStaticPie,
  noSetId,
  rustByAnvilCc,
  type Proof,
} from "../../src/recipe/proof.ts";
import { proofsOf, type Recipe } from "../../src/recipe/recipe.ts";
import { tree, type TreeRecipeFields } from "../../src/recipe/tree.ts";
import { versionsOf } from "../../src/forge/evaluate.ts";
import { Rig, step } from "../forge/rig.ts";

const rig = await Rig.make({ after });
rig.projectFile("own/motd", "ours\n");
rig.projectFile("own/etc/hosts", "127.0.0.1 localhost\n");
rig.projectFile("own/run", "#!/bin/sh\n");
chmodSync(path.join(rig.project, rig.projectFile("own/start", "#!/bin/sh\n")), 0o755);

const base = step(
  "base",
  `mkdir -p /out/usr/bin /out/usr/share/doc; cd /out/usr/bin; echo base > box; ln -s box ls; ln -s box ps`,
);
const better = step(
  "better",
  `mkdir -p /out/usr/bin /out/usr/lib; echo better > /out/usr/bin/ps; echo lib > /out/usr/lib/a.so`,
);

const made = (fields: Omit<Partial<TreeRecipeFields>, "seed" | "root"> & { name: string }): Recipe =>
  tree({ from: [base, better], seed: seedBase, ...fields });

async function faults(fields: Parameters<typeof made>[0]): Promise<string[]> {
  const recipe = made(fields);
  const run = await rig.forge(recipe);
  assert.equal(run.ok, false, "it was refused");
  assert.equal(run.fault.code, "E_STEP_FAILED");
  return run.lines(recipe.name).filter((line) => line.startsWith("E_"));
}

test("parts, files, texts, links, folders and services come where they are said to", async () => {
  const recipe = made({
    name: "whole",
    only: { base: ["usr/bin"], better: ["usr/**/*.so"] },
    at: { better: "opt/better" },
    moves: { "usr/bin/box": "usr/libexec/box", "opt/better/usr/lib": "opt/lib" },
    files: {
      "etc/motd": "own/motd",
      ".": "own/etc",
      "etc/hostname": { text: "it's\n" },
      "usr/bin/hello": { text: "#!/bin/sh\n", executable: true },
    },
    links: { bin: "usr/bin" },
    folders: ["proc", "var/log"],
    services: { web: "own/start", job: { text: "#!/bin/sh\n", executable: true } },
    after: "echo more >> etc/motd\n",
  });
  const run = await rig.forge(recipe);
  assert.equal(run.ok, true, run.lines("whole").join("\n"));
  assert.equal(rig.read(recipe, "usr/libexec/box"), "base\n");
  assert.equal(readlinkSync(rig.output(recipe, "usr/bin/ls")), "box");
  assert.equal(rig.read(recipe, "opt/lib/a.so"), "lib\n");
  assert.equal(rig.read(recipe, "etc/motd"), "ours\nmore\n");
  assert.equal(rig.read(recipe, "hosts"), "127.0.0.1 localhost\n");
  assert.equal(rig.read(recipe, "etc/hostname"), "it's\n");
  assert.equal(readlinkSync(rig.output(recipe, "bin")), "usr/bin");
  for (const folder of ["proc", "var/log"]) assert.ok(statSync(rig.output(recipe, folder)).isDirectory());
  for (const program of ["usr/bin/hello", "etc/service/web/run", "etc/service/job/run"])
    assert.equal(statSync(rig.output(recipe, program)).mode & 0o777, 0o555, program);
  for (const absent of ["usr/share", "usr/bin/box", "opt/better/usr/bin"])
    assert.equal(existsSync(rig.output(recipe, absent)), false, absent);
});

test("what two parts have at one path is refused with both named, unless it is said which of them wins", async () => {
  assert.deepEqual(await faults({ name: "clash" }), ["E_TREE_COLLISION  usr/bin/ps is in base and better"]);
  const settled = made({ name: "settled", wins: [better] });
  const run = await rig.forge(settled);
  assert.equal(run.ok, true);
  assert.ok(run.lines("settled").includes("usr/bin/ps: that of better, from base and better"));
  assert.equal(rig.read(settled, "usr/bin/ps"), "better\n");
  assert.deepEqual(await faults({ name: "both-win", wins: [base, better] }), [
    "E_TREE_COLLISION  usr/bin/ps is in base and better",
    "E_TREE_UNUSED  base has nothing to win over: nobody else has its paths",
    "E_TREE_UNUSED  better has nothing to win over: nobody else has its paths",
  ]);
});

test("a file of the project or a text takes the place of a part's file only where that is said", async () => {
  const only = { better: ["usr/lib"] } as const;
  assert.deepEqual(await faults({ name: "file-clash", only, files: { "usr/bin/ps": "own/start" } }), [
    "E_TREE_COLLISION  usr/bin/ps is in base and own/start",
  ]);
  const files = {
    "usr/bin/ps": { text: "text\n", wins: true },
    "usr/bin/box": { from: "own/start", wins: true },
  } as const;
  const settled = made({ name: "file-wins", only, files });
  assert.equal((await rig.forge(settled)).ok, true);
  assert.equal(rig.read(settled, "usr/bin/ps"), "text\n");
  assert.equal(rig.read(settled, "usr/bin/box"), "#!/bin/sh\n");
});

test("a folder of one part and a file or link of another are a collision, which nobody wins", async () => {
  const only = { better: ["usr/lib"] } as const;
  const found = await faults({ name: "kinds", only, files: { "usr/bin": { text: "", wins: true } } });
  assert.ok(found.includes("E_TREE_COLLISION  usr/bin is in base (a folder) and text of usr/bin"), found.join("\n"));
  const behind = await faults({ name: "behind", only, links: { opt: "usr" }, files: { "opt/x": "own/motd" } });
  assert.deepEqual(behind, ["E_TREE_COLLISION  opt is in the list of links, and opt/x in own/motd"]);
});

test("what comes nowhere is refused: a pattern, a part, a move, a winner without a contest, a tree without a file", async () => {
  assert.deepEqual(await faults({ name: "pattern", only: { base: ["usr/bin/l*", "usr/sbin"], better: ["usr/lib"] } }), [
    "E_TREE_UNUSED  base has nothing at usr/sbin",
  ]);
  assert.deepEqual(await faults({ name: "lost", only: { better: ["usr/bin/ps"] }, wins: [base] }), [
    "E_TREE_UNUSED  nothing of better comes into the tree",
  ]);
  assert.deepEqual(await faults({ name: "move", wins: [better], moves: { "usr/bin/cat": "cat" } }), [
    "E_TREE_UNUSED  nothing is at usr/bin/cat, which would be moved",
  ]);
  assert.deepEqual(await faults({ name: "idle", wins: [base], only: { better: ["usr/lib"] } }), [
    "E_TREE_UNUSED  base has nothing to win over: nobody else has its paths",
  ]);
  assert.deepEqual(await faults({ name: "empty", from: [], folders: ["proc"] }), [
    "E_TREE_UNUSED  the tree holds no file",
  ]);
});

test("a service needs a run that is executable, whoever brings it, and so does its log", async () => {
  const ill = step(
    "ill",
    "mkdir -p /out/service/x/log /out/etc/service/y; touch /out/service/x/run /out/etc/service/z",
  );
  assert.deepEqual(
    await faults({
      name: "services",
      from: [ill],
      services: { web: "own/run" },
      files: { "service/w/finish": "own/start" },
    }),
    [
      "E_TREE_SERVICE  etc/service/web/run of own/run is not executable",
      "E_TREE_SERVICE  etc/service/z of ill is no folder",
      "E_TREE_SERVICE  service/x/run of ill is not executable",
      "E_TREE_SERVICE  the service etc/service/y of ill has no run",
      "E_TREE_SERVICE  the service service/w of own/start has no run",
      "E_TREE_SERVICE  the service service/x/log of ill has no run",
    ].sort(),
  );
});

const versions = versionsOf({ components: {} } as Channel);
const checks = (parts: readonly Recipe[], proves: readonly Proof[] = []): string[] =>
  proofsOf(made({ name: "proofs", from: parts, proves }), versions).map(({ check }) => check);
const proving = (name: string, ...proves: [Proof, ...Proof[]]): Recipe => step(name, "true", { proves });

test("a tree is held to what its parts are held to, all of it", () => {
  const always = ["exists", "no-build-paths", "no-set-id"];
  const pie = proving("pie", isStaticPie("a"), builtByAnvilCc("a"));
  assert.deepEqual(checks([proving("data", exists("a"))]), always);
  assert.deepEqual(checks([pie]), ["exists", "static-pie", "built-by-anvil-cc", "no-build-paths", "no-set-id"]);
  assert.deepEqual(checks([pie, proving("compiler", isStatic("b"))])[1], "static");
  assert.deepEqual(checks([pie, proving("rust", rustByAnvilCc("b"))], [exists("c")]), [
    ...["exists", "static-pie", "no-build-paths", "no-set-id", "exists"],
  ]);
});

test("a tree with a program that runs as another user is not proven", async () => {
  const run = await rig.forge(
    step("set-id", "touch /out/a /out/b; chmod 4755 /out/a; chmod 2755 /out/b", { proves: [noSetId()] }),
  );
  assert.equal(run.fault.code, "E_PROOF");
  assert.ok(run.fault.details.some((line) => line.includes("a has the bit set-user-ID or set-group-ID; b has")));
});

test("its licence is that of its parts, and the project's own where it has files of the project", () => {
  const mit = step("mit", "true", { licence: "MIT" });
  const choice = step("choice", "true", { licence: "MIT OR ISC" });
  assert.equal(made({ name: "l", from: [mit, choice] }).licence, "(MIT OR ISC) AND MIT");
  assert.equal(made({ name: "l", from: [mit], files: { motd: "own/motd" } }).licence, "Apache-2.0 AND MIT");
  assert.equal(made({ name: "l", from: [mit], licences: ["Zlib"] }).licence, "MIT AND Zlib");
});

test("fields that do not go together are refused when the recipe is made", () => {
  const wrong: [Partial<TreeRecipeFields>, RegExp][] = [
    [{ from: [base, base] }, /two parts of the tree are called base/],
    [{ only: { bash: ["usr"] } }, /bash is no part of the tree: base, better/],
    [{ wins: [step("other", "true")] }, /other cannot win: it is no part of the tree/],
    [{ files: { "/etc/motd": "own/motd" } }, /"\/etc\/motd" is no path in a tree/],
    [{ folders: ["a/../b"] }, /"a\/..\/b" is no path in a tree/],
    [{ only: { base: ["usr/[ab]"] } }, /"usr\/\[ab\]" is no path or pattern/],
    [{ services: { "a/b": "own/run" } }, /"a\/b" is no name of a service/],
  ];
  for (const [fields, message] of wrong) assert.throws(() => made({ name: "wrong", ...fields }), message);
});
