/** A user's own folder: `anvil init` starts it, and commands that are started in it mean its image. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, test } from "node:test";
import { TinyProject } from "./tiny-project.ts";

const project = await TinyProject.make({ after });
const folder = path.join(path.dirname(project.folder), "mine");
const inFolder = (...args: string[]) => project.anvil(args, { cwd: folder });
const writeImage = (text: string): void => writeFileSync(path.join(folder, "anvil.image.ts"), text);
const debian = ["--channel", "debian"];

test("init starts a folder, which forge builds into an ISO of its own, and the project's stays the plain one", async () => {
  const started = await project.anvil(["init", folder]);
  assert.equal(started.stderr, "");
  assert.equal(started.status, 0);
  assert.match(started.stdout, /has anvil\.image\.ts, tsconfig\.json, \.gitignore\n/);
  const { status, stdout, stderr } = await inFolder("forge", ...debian);
  assert.equal(stderr, "");
  assert.equal(status, 0, stdout);
  assert.equal(readFileSync(path.join(folder, "out/anvilos-phase2.iso"), "utf8"), "42\nhello\nimage mine\n");
  assert.ok(existsSync(path.join(folder, "out/anvilos-phase2.manifest.json")));
  assert.equal((await project.anvil(["forge", ...debian])).status, 0);
  assert.equal(readFileSync(path.join(project.out, "anvilos-phase2.iso"), "utf8"), "42\nhello\n");
});

test("what is wrong with the image is told before anything is built, each with its place", async () => {
  writeImage(
    'import { image } from "anvilos";\nexport default image({ name: "mine", user: {}, limits: { iso: -1 } } as never);\n',
  );
  const { status, stdout, stderr } = await inFolder("forge", ...debian);
  assert.deepEqual([status, stdout], [1, ""]);
  assert.match(
    stderr,
    /^E_IMAGE {2}fields of the image are wrong\n {2}user: there is no such field; .*\n {2}limits\.iso: /,
  );
  assert.match(stderr, /hint: docs\/images\.md/);
  writeImage("export default {\n");
  const broken = await inFolder("status", ...debian);
  assert.match(broken.stderr, /^E_IMAGE {2}anvil\.image\.ts cannot be compiled\n {2}anvil\.image\.ts:2:1: /);
});

test("init writes nothing over, and takes one folder", async () => {
  const again = await project.anvil(["init", folder]);
  assert.equal(again.status, 1);
  assert.match(again.stderr, /^E_IMAGE_EXISTS /);
  assert.equal((await project.anvil(["init", "a", "b"])).status, 2);
  const file = path.join(folder, "tsconfig.json");
  const inPlace = await project.anvil(["init", file]);
  assert.equal(inPlace.stderr, `E_READ_ONLY  ${file} cannot be made: it exists already\n  hint: name another folder\n`);
  const below = await project.anvil(["init", path.join(file, "below")]);
  assert.match(below.stderr, /^E_READ_ONLY {2}.* cannot be made: part of its path is not a folder\n/);
});
