/** Bodies of ingots, made by the real recipe in the real sandbox. */
import assert from "node:assert/strict";
import { lstatSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { ingot } from "../../recipes/ingot.ts";
import { Ingot } from "../../src/inject/ingot-file.ts";
import { blake2b, CHUNK_SIZE, parseManifest } from "../../src/inject/manifest.ts";
import type { Recipe } from "../../src/recipe/recipe.ts";
import { Rig, step } from "../forge/rig.ts";
import { signer } from "./samples.ts";

const programs = step(
  "programs",
  `
mkdir -p /out/usr/bin /out/service/clock
printf '#!/bin/sh\\n' | tee /out/usr/bin/check > /out/service/clock/run
chmod 755 /out/usr/bin/check /out/service/clock/run
ln -s check '/out/usr/bin/a b%'
`,
);
const data = step(
  "data",
  `
mkdir -p /out/usr/share /out/usr/bin-2
: > /out/usr/share/empty
head -c 5000000 /dev/zero > '/out/usr/share/a large one'
echo first > /out/usr/share/B
echo last > /out/usr/bin-2/x
`,
);

const sample = ingot({
  name: "sample",
  version: "1.2",
  trees: [programs, data],
  needs: [{ ingot: "tools", atLeast: "4.4" }, { ingot: "cc" }],
  services: ["clock"],
  health: { seconds: 20, program: "usr/bin/check" },
});

const unpack = (body: Recipe): Recipe =>
  step("unpacked", `zstd -q -d -c /in/${body.name}/payload > /out/payload`, { inputs: [body] });

test("a body holds what its trees hold, in the order of names, proven and packed in chunks", async (t) => {
  const rig = await Rig.make(t);
  const run = await rig.forge([sample.body, unpack(sample.body)]);
  assert.equal(run.ok, true, run.lines("ingot-sample").join("\n"));
  const manifest = parseManifest(readFileSync(rig.output(sample.body, "manifest")));
  assert.deepEqual(
    manifest.entries.map(({ kind, path }) => `${kind} ${path}`),
    [
      ...["dir service", "dir service/clock", "file service/clock/run", "dir usr", "dir usr/bin", "dir usr/bin-2"],
      ...["file usr/bin-2/x", "link usr/bin/a b%", "file usr/bin/check", "dir usr/share", "file usr/share/B"],
      ...["file usr/share/a large one", "file usr/share/empty"],
    ],
  );
  const payload = readFileSync(rig.output(unpack(sample.body), "payload"));
  let at = 0;
  for (const entry of manifest.entries) {
    if (entry.kind !== "file") continue;
    const source = [programs, data].map((tree) => rig.output(tree, entry.path)).find((file) => exists(file)) as string;
    const bytes = readFileSync(source);
    assert.deepEqual(payload.subarray(at, at + entry.size), bytes, entry.path);
    assert.equal(entry.hash, blake2b(bytes));
    assert.equal(entry.executable, (lstatSync(source).mode & 0o100) !== 0);
    at += entry.size;
  }
  assert.equal(at, payload.length);
  assert.deepEqual(
    manifest.chunks.map(({ size }) => size),
    [CHUNK_SIZE, payload.length - CHUNK_SIZE],
  );
  const { name, version, arch, date, needs, services, health, proofs } = manifest;
  assert.deepEqual(
    { name, version, arch, date, needs, services, health, proofs },
    {
      name: "sample",
      version: "1.2",
      arch: "x86_64",
      date: 1_700_000_000,
      needs: [
        { ingot: "tools", atLeast: "4.4" },
        { ingot: "cc", atLeast: undefined },
      ],
      services: ["clock"],
      health: { seconds: 20, program: "usr/bin/check" },
      proofs: ["programs has **", "data has **"],
    },
  );
  const body = path.dirname(rig.output(sample.body, "manifest"));
  const signed = await Ingot.ofBody(body, signer);
  for (const index of manifest.chunks.keys()) await signed.chunk(index);
  await signed.close();
});

test("a body is the same bytes wherever and with however many jobs it is made", async (t) => {
  const digests = [];
  for (const jobs of [1, 4]) {
    const rig = await Rig.make(t);
    assert.equal((await rig.forge(sample.body, { jobs })).ok, true);
    digests.push(await rig.digest(sample.body));
  }
  assert.equal(digests[0], digests[1]);
});

test("what cannot be an ingot is not made", async (t) => {
  const rig = await Rig.make(t);
  const other = step("other", "mkdir -p /out/usr/bin; echo other > /out/usr/bin/check");
  const strange = step("strange", "touch /out/plain $'/out/a\\nb'");
  const none = step("none", "mkdir /out/usr; ln -s /nowhere /out/usr/link");
  const cases: readonly [Recipe, RegExp][] = [
    [
      ingot({ name: "a", version: "1", trees: [programs, other] }).body,
      /E_TREE_COLLISION {2}usr\/bin\/check is in programs and other/,
    ],
    [ingot({ name: "a", version: "1", trees: [strange] }).body, /without control characters/],
    [ingot({ name: "a", version: "1", trees: [none] }).body, /no file/],
    [ingot({ name: "a", version: "1", trees: [data], services: ["web"] }).body, /no program service\/web\/run/],
    [ingot({ name: "a", version: "1", trees: [data], health: { seconds: 1, program: "x" } }).body, /no program x/],
  ];
  for (const [body, why] of cases) {
    const run = await rig.forge(body);
    assert.equal(run.fault.code, "E_STEP_FAILED");
    assert.match(run.lines("ingot-a").join("\n"), why);
  }
});

function exists(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
}
