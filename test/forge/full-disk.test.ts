import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { source } from "../../src/recipe/recipe.ts";
import { file, serve } from "../source/http-server.ts";
import { withSmallDisk } from "./confined.ts";
import { bundled, Rig, step } from "./rig.ts";
import type { Try } from "./small-disk.ts";
import { tarball } from "./sources.ts";

const unpacked = step("unpacked", "cp data/data /out", { source: source("data") });
const doubled = step("doubled", "cat /in/unpacked/data /in/unpacked/data > /out/data; cp /out/data .", {
  inputs: [unpacked],
});

test("a disk that gets full at any moment: it is said, nothing half-written stays, and with room all goes well", async (t) => {
  // hardly compressible at first, so that the download takes room too, then very much so
  const noise = Array.from({ length: 3000 }, (_, i) => Math.sin(i).toString(36)).join("");
  const data = await tarball("data", [{ name: "data", data: noise.padEnd(200_000) }]);
  const rig = await Rig.make(t, { components: { data: data.pin } });
  const server = await serve(t, file(data.bytes));
  const job = rig.jobFile(rig.evaluate(doubled), { mirrors: [server.root] });
  const wrap = withSmallDisk(rig.seedTree, rig.store.paths.top, 64 << 20);
  const probe = wrap(process.execPath, ["-e", "0"]);
  if (spawnSync(probe.command, probe.args, { env: {} }).status !== 0) {
    return t.skip("this machine lets nobody mount a file system");
  }
  const { command, args } = wrap(process.execPath, [bundled("test/forge/small-disk"), job]);
  const child = spawn(command, args, { env: {}, stdio: ["ignore", "pipe", "pipe"] });
  const [output, complaint] = await Promise.all([text(child.stdout), text(child.stderr)]);
  assert.equal(complaint, "");
  const tries = output
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Try);
  const last = tries.at(-1);
  assert.ok(last !== undefined && tries.length > 10);
  for (const { free, ok, codes, messages, damaged, left, digests } of tries) {
    const at = `with ${free} bytes free: ${messages.join("; ")}`;
    assert.deepEqual(codes, ok ? [] : ["E_DISK_FULL"], at);
    assert.deepEqual(damaged, [], at);
    assert.deepEqual(left, [], at);
    for (const [name, digest] of Object.entries(digests)) assert.equal(digest, last.digests[name], `${name} ${at}`);
  }
  assert.equal(last.ok, true);
  assert.deepEqual(Object.keys(last.digests).sort(), ["doubled", "seed-base", "unpacked"]);
  const failed = tries.filter(({ ok }) => !ok);
  assert.ok(failed.length >= 10, "most of them had too little room");
  assert.ok(
    failed.some(({ digests }) => "unpacked" in digests),
    "some failed after the first step",
  );
});
