import assert from "node:assert/strict";
import { readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { Ingot } from "../../src/inject/ingot-file.ts";
import { isSignedBy } from "../../src/inject/key-file.ts";
import { temporaryFolder, type Cleanup } from "../forge/rig.ts";
import { sampleIngot, sampleManifest, signer, storedChunks, writeBody } from "./samples.ts";

const never = new AbortController().signal;

async function exported(t: Cleanup): Promise<{ file: string; ingot: Ingot }> {
  const folder = temporaryFolder(t);
  const ingot = await sampleIngot(path.join(folder, "body"));
  t.after(() => void ingot.close());
  const file = path.join(folder, ingot.fileName);
  await ingot.writeTo(file, never);
  assert.deepEqual(readdirSync(folder).sort(), ["body", ingot.fileName], "nothing else is left");
  return { file, ingot };
}

test("a body is signed, written to a file and read back", async (t) => {
  const { file, ingot } = await exported(t);
  assert.match(path.basename(file), /^sample-1\.2~rc3-[0-9a-f]{12}\.ingot$/);
  const read = await Ingot.ofFile(file);
  assert.deepEqual(read.manifest, sampleManifest);
  assert.equal(read.key, ingot.key);
  assert.equal(isSignedBy(signer.public, read.bytes, read.signature), true);
  for (const [index, bytes] of storedChunks.entries()) assert.deepEqual(await read.chunk(index), bytes);
  assert.deepEqual(readFileSync(file), Buffer.concat([read.head, ...storedChunks]));
  await read.close();
});

test("a file that is no ingot, or not a whole one, is refused", async (t) => {
  const { file } = await exported(t);
  const { length } = readFileSync(file);
  truncateSync(file, length - 1);
  await assert.rejects(Ingot.ofFile(file), { code: "E_INGOT_FILE", message: /instead of/ });
  truncateSync(file, 300);
  await assert.rejects(Ingot.ofFile(file), { code: "E_INGOT_FILE", message: /too early/ });
  truncateSync(file, 20);
  await assert.rejects(Ingot.ofFile(file), { code: "E_INGOT_FILE", message: /no ingot/ });
  await assert.rejects(Ingot.ofFile(`${file}.absent`), { code: "E_NO_SUCH_FILE" });
  await assert.rejects(Ingot.ofFile(path.dirname(file)), { code: "E_INGOT_FILE" });
});

test("a damaged chunk is found before it is sent or exported, and no file is left", async (t) => {
  const folder = temporaryFolder(t);
  const body = writeBody(path.join(folder, "body"));
  const payload = readFileSync(path.join(body, "payload"));
  payload[7] = 0;
  writeFileSync(path.join(body, "payload"), payload);
  const ingot = await Ingot.ofBody(body, signer);
  t.after(() => void ingot.close());
  assert.deepEqual(await ingot.chunk(0), storedChunks[0]);
  await assert.rejects(ingot.chunk(1), { code: "E_INGOT_CHUNK" });
  await assert.rejects(ingot.writeTo(path.join(folder, "x.ingot"), never), { code: "E_INGOT_CHUNK" });
  assert.deepEqual(readdirSync(folder), ["body"]);
});

test("an export that is interrupted leaves nothing", async (t) => {
  const folder = temporaryFolder(t);
  const ingot = await sampleIngot(path.join(folder, "body"));
  t.after(() => void ingot.close());
  await assert.rejects(ingot.writeTo(path.join(folder, "x.ingot"), AbortSignal.abort()), { code: "E_INTERRUPTED" });
  assert.deepEqual(readdirSync(folder), ["body"]);
});
