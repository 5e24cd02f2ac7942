import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { exists } from "../../src/recipe/proof.ts";
import { recipe } from "../../src/recipe/recipe.ts";
import { Rig, step } from "./rig.ts";

/** The seed's bash and nothing else. */
const root = step(
  "root",
  `
mkdir -p /out/usr/bin /out/usr/lib64 /out/usr/lib/x86_64-linux-gnu
cp -L /usr/bin/bash /out/usr/bin
cp -L /lib64/ld-linux-x86-64.so.2 /out/usr/lib64
cp -L /usr/lib/x86_64-linux-gnu/{libc.so.6,libtinfo.so.6} /out/usr/lib/x86_64-linux-gnu
ln -s usr/bin usr/lib usr/lib64 /out
`,
);

const inside = recipe({
  name: "inside",
  licence: "0BSD",
  root,
  script: 'programs=(/usr/bin/* /usr/sbin/*)\necho "${programs[*]}" > /out/programs',
  proves: [exists("programs")],
});

test("a step whose root was built sees the programs of that root and none of a seed", async (t) => {
  const rig = await Rig.make(t);
  const run = await rig.forge(inside);
  assert.equal(run.ok, true);
  assert.equal(readFileSync(path.join(rig.output(inside), "programs"), "utf8"), "/usr/bin/bash /usr/sbin/*\n");
});

test("it needs the seed of its root, whose bubblewrap it runs in, also when the root is in the store", async (t) => {
  const rig = await Rig.make(t);
  await rig.forge(root);
  const again = await rig.forge(inside);
  assert.deepEqual(again.made, ["inside"]);
  assert.deepEqual(rig.store.outputs.record(rig.key(inside))?.references, [rig.key(root.root), rig.key(root)]);
});

test("what takes the place of another output is mounted in that one's folder", async (t) => {
  const rig = await Rig.make(t);
  const first = step("first", "echo 1 > /out/number");
  const second = step("second", "echo 2 > /out/number", { folder: "first" });
  const one = step("one", "cat /in/first/number > /out/number", { inputs: [first] });
  const two = step("two", "cat /in/first/number > /out/number", { inputs: [second] });
  await rig.forge([one, two]);
  assert.equal(readFileSync(path.join(rig.output(one), "number"), "utf8"), "1\n");
  assert.equal(readFileSync(path.join(rig.output(two), "number"), "utf8"), "2\n");
});
