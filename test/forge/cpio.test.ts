import assert from "node:assert/strict";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { Fault } from "../../src/fault/fault.ts";
import { cpioOfTree, writeCpio } from "../../src/forge/cpio.ts";
import { bytesOf } from "../../src/format/byte-source.ts";
import { readCpio } from "../../src/format/cpio.ts";

const mtime = 1_700_000_000;

async function collect(parts: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of parts) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function folderFor(t: TestContext): string {
  const dir = mkdtempSync(path.join(tmpdir(), "anvil-cpio-"));
  t.after(() => rmSync(dir, { recursive: true }));
  return dir;
}

test("the archive of a folder holds its tree and the nodes that the kernel opens", async (t) => {
  const dir = folderFor(t);
  mkdirSync(path.join(dir, "bin"));
  writeFileSync(path.join(dir, "bin/busybox"), "#!\n");
  chmodSync(path.join(dir, "bin/busybox"), 0o4711);
  symlinkSync("busybox", path.join(dir, "bin/sh"));
  // a link that leads back up must be listed, not followed
  symlinkSync("..", path.join(dir, "bin/up"));
  chmodSync(path.join(dir, "bin"), 0o750);

  const bytes = await collect(cpioOfTree(dir, mtime, [{ kind: "folder", path: "proc", mode: 0o755, mtime }]));
  const records = [...readCpio(bytesOf(bytes))];
  assert.deepEqual(
    records.map((record) => `${record.mode.toString(8)} ${record.path}`),
    [
      "40750 bin",
      "104711 bin/busybox",
      "120777 bin/sh",
      "120777 bin/up",
      "40755 dev",
      "20600 dev/console",
      "20666 dev/null",
      "40755 proc",
    ],
  );
  assert.ok(records.every((record) => record.uid === 0 && record.gid === 0 && record.mtime === mtime));
  const busybox = records[1];
  assert.equal(bytes.toString("utf8", busybox?.offset, (busybox?.offset ?? 0) + 3), "#!\n");
});

test("the archive does not depend on the folder's place, times or order of creation", async (t) => {
  const [first, second] = [folderFor(t), folderFor(t)];
  for (const name of ["a", "b", "c"]) writeFileSync(path.join(first, name), name);
  for (const name of ["c", "a", "b"]) {
    writeFileSync(path.join(second, name), name);
    utimesSync(path.join(second, name), 1, 1);
  }
  const outputs = [path.join(folderFor(t), "1.cpio"), path.join(folderFor(t), "2.cpio")] as const;
  await writeCpio(first, outputs[0], mtime);
  await writeCpio(second, outputs[1], mtime);
  assert.deepEqual(readFileSync(outputs[0]), readFileSync(outputs[1]));
});

test("an entry that is added twice is a fault that names it", async (t) => {
  const dir = folderFor(t);
  mkdirSync(path.join(dir, "dev"));
  writeFileSync(path.join(dir, "dev/null"), "");
  await assert.rejects(
    () => collect(cpioOfTree(dir, mtime)),
    (error) => error instanceof Fault && error.code === "E_CPIO_CONFLICT" && error.message.includes("dev/null"),
  );
});
