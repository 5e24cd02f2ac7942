import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, test } from "node:test";
import type { Digest } from "../../src/recipe/derivation.ts";
import { TinyProject } from "./tiny-project.ts";

const project = await TinyProject.make({ after });
const { store } = project;
const forge = (): ReturnType<typeof project.anvil> => project.anvil(["forge", "--channel", "debian"]);

function damageBase(): void {
  const record = store.outputs.records().find(({ name }) => name === "base");
  assert.ok(record !== undefined);
  const file = path.join(store.outputs.path(record.key), "number");
  chmodSync(file, 0o644);
  writeFileSync(file, "43\n");
}

test("a sound store is found sound", async () => {
  assert.equal((await forge()).status, 0);
  const { status, stdout } = await project.anvil(["verify"]);
  assert.equal(status, 0);
  assert.equal(stdout, "3 outputs and 0 downloads read, 0 damaged\n");
});

test("a damaged output is found, removed, and made again by the next forge", async () => {
  damageBase();
  const found = await project.anvil(["verify"]);
  assert.equal(found.status, 1);
  assert.match(found.stdout, /^damaged {2}base .*: removed\n3 outputs and 0 downloads read, 1 damaged\n$/);
  assert.deepEqual(
    store.outputs
      .records()
      .map(({ name }) => name)
      .sort(),
    ["iso", "seed-base"],
  );
  assert.equal((await project.anvil(["forge", "base", "--channel", "debian"])).status, 0);
  assert.equal((await project.anvil(["verify"])).status, 0);
});

test("with --keep it is only reported", async () => {
  damageBase();
  for (let time = 0; time < 2; time++) {
    const { status, stdout } = await project.anvil(["verify", "--keep", "--json"]);
    assert.equal(status, 1);
    const report = JSON.parse(stdout) as { outputs: number; damaged: string[] };
    assert.equal(report.outputs, 3);
    assert.match(report.damaged[0] ?? "", /^base /);
  }
});

test("a damaged download is found and removed", async () => {
  await project.anvil(["verify"]);
  const name = "ab".repeat(32) as Digest;
  writeFileSync(store.sources.path(name), "other bytes");
  const { status, stdout } = await project.anvil(["verify"]);
  assert.equal(status, 1);
  assert.match(stdout, new RegExp(`^damaged  source ${name}: removed`, "m"));
  assert.equal(store.sources.has(name), false);
});
