import assert from "node:assert/strict";
import { lstatSync, readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { failedFolder } from "../../src/forge/step.ts";
import { contains, exists, runs } from "../../src/recipe/proof.ts";
import type { Output } from "../../src/recipe/recipe.ts";
import { walk } from "../../src/store/tree.ts";
import { holdHere, Rig, step } from "./rig.ts";

const tool = step(
  "tool",
  `
mkdir -p /out/usr/bin /out/usr/share/private
printf '#!/bin/sh\\necho tool 1.0 "$@"\\n' > /out/usr/bin/tool
chmod 4775 /out/usr/bin/tool
echo data > /out/usr/share/private/data
chmod 600 /out/usr/share/private/data
chmod 700 /out/usr/share/private
ln -s ../bin/tool /out/usr/share/link
`,
  { proves: [exists("usr/share/link"), runs("usr/bin/tool", "--flag", /^tool 1\.0 --flag$/)] },
);

/** What the store has of an output: its folder, its record. */
function traces(rig: Rig, output: Output): string[] {
  const key = rig.key(output);
  return readdirSync(rig.store.paths.outputs).filter((name) => name.startsWith(key.slice(0, 32)));
}

test("an output is in the store with its record, its proofs and what it was made from", async (t) => {
  const rig = await Rig.make(t);
  const run = await rig.forge(tool);
  assert.equal(run.ok, true);
  assert.deepEqual(run.made, ["tool"]);
  const record = rig.store.outputs.record(rig.key(tool));
  assert.equal(record?.files, 2);
  assert.deepEqual(record?.references, [rig.key(tool.root)]);
  assert.deepEqual(record?.proofs, [
    { proof: "has usr/share/link", detail: "1 found" },
    { proof: "runs: usr/bin/tool --flag =~ /^tool 1\\.0 --flag$/", detail: "tool 1.0 --flag" },
  ]);
  assert.equal(await rig.store.outputs.isSound(rig.key(tool)), true);
  assert.deepEqual(readdirSync(rig.store.paths.tmp), [], "nothing of the work is left");
});

test("nothing in an output can be written, run as another user, or tells when it was made", async (t) => {
  const rig = await Rig.make(t);
  await rig.forge(tool);
  const top = rig.output(tool);
  assert.equal(lstatSync(top).mode & 0o7777, 0o555);
  const modes = new Map<string, number>();
  const times = new Set<number>();
  for (const { path: name, stat } of walk(top)) {
    times.add(stat.mtimeMs);
    if (!stat.isSymbolicLink()) modes.set(name, stat.mode & 0o7777);
  }
  assert.deepEqual(Object.fromEntries(modes), {
    usr: 0o555,
    "usr/bin": 0o555,
    "usr/bin/tool": 0o555,
    "usr/share": 0o555,
    "usr/share/private": 0o555,
    "usr/share/private/data": 0o444,
  });
  assert.equal(times.size, 1);
});

test("until it is proven, an output is not in the store", async (t) => {
  const rig = await Rig.make(t);
  const held = step("held", `${holdHere}; echo done > /out/done`);
  const seen: string[][] = [];
  const run = await rig.forge(held, {
    on: (event) => {
      if (event.type === "output" && event.line === "held") rig.release("held");
      if (["output", "phase", "proof"].includes(event.type)) seen.push(traces(rig, held));
    },
  });
  assert.equal(run.ok, true);
  assert.ok(seen.length >= 4, "the step spoke, was proven and was stored");
  assert.deepEqual(seen.flat(), []);
  assert.equal(traces(rig, held).length, 2);
});

test("a failing proof keeps the output out of the store, and says what was found", async (t) => {
  const rig = await Rig.make(t);
  const liar = step("liar", "echo 0.9 > /out/version", {
    proves: [exists("version"), contains("version", /^1\.0$/), exists("missing")],
  });
  const user = step("user", "cp /in/liar/version /out", { inputs: [liar] });
  const run = await rig.forge(user);
  assert.equal(run.ok, false);
  assert.equal(run.fault.code, "E_PROOF");
  assert.match(run.fault.message, /^the output of liar .*is not what its recipe says$/);
  assert.deepEqual(run.fault.details, [
    "not proven: version =~ /^1\\.0$/",
    "  no line of version matches /^1\\.0$/",
    "not proven: has missing",
    "  nothing is at missing",
  ]);
  assert.deepEqual(traces(rig, liar), []);
  assert.equal(rig.store.outputs.has(rig.key(liar)), false);
  const kept = failedFolder(rig.store, rig.key(liar), "liar");
  assert.equal(readFileSync(path.join(kept, "out/version"), "utf8"), "0.9\n");
});

test("a proof that runs a program cannot change the output that was proven", async (t) => {
  const rig = await Rig.make(t);
  const sly = step(
    "sly",
    `printf '#!/bin/sh\\necho changed > /out/data; cat /out/data\\n' > /out/sly; chmod 755 /out/sly; echo good > /out/data`,
    {
      proves: [contains("data", /^good$/), runs("sly", "", /Read-only file system/)],
    },
  );
  await rig.forge(sly);
  assert.equal(rig.read(sly, "data"), "good\n");
});

test("what is in the store already is not made again", async (t) => {
  const rig = await Rig.make(t);
  await rig.forge(tool);
  const before = statSync(rig.output(tool)).ino;
  const again = await rig.forge(tool);
  assert.equal(again.ok, true);
  assert.deepEqual(again.made, []);
  assert.equal(statSync(rig.output(tool)).ino, before);
});
