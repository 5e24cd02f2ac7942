import assert from "node:assert/strict";
import { cpSync, chownSync, lstatSync, readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { nobody } from "../forge/rig.ts";
import { TinyProject } from "./tiny-project.ts";

/** Gives a folder and what is in it to a user; links and what they lead to stay. */
function give(file: string, uid: number): void {
  const stat = lstatSync(file);
  if (stat.isSymbolicLink()) return;
  if (stat.nlink === 1 || stat.isDirectory()) chownSync(file, uid, uid);
  if (stat.isDirectory()) for (const name of readdirSync(file)) give(path.join(file, name), uid);
}

test("env -i HOME=… node bin/anvil forge, as a user without rights: builds the ISO", async (t) => {
  const uid = nobody();
  if (process.getuid?.() === 0 && uid === undefined) return t.skip("no other user can read this project");
  const project = await TinyProject.make(t, { ownSeed: true });
  if (uid !== undefined) give(path.dirname(project.folder), uid);
  const user = uid === undefined ? {} : { uid };
  const { status, stdout, stderr } = await project.anvil(["forge"], { env: { HOME: project.home }, ...user });
  assert.equal(stderr, "");
  assert.equal(status, 0, stdout);
  assert.equal(readFileSync(path.join(project.out, "anvilos-phase2.iso"), "utf8"), "42\nhello\n");
  const again = await project.anvil(["forge", "--json"], { env: { HOME: project.home }, ...user });
  assert.equal(again.status, 0);
  assert.doesNotMatch(again.stdout, /"start"/);
  const verified = await project.anvil(["verify"], { env: { HOME: project.home }, ...user });
  assert.equal(verified.status, 0, verified.stdout);
  const emptied = await project.anvil(["gc"], { env: { HOME: project.home }, ...user });
  assert.equal(emptied.status, 0, emptied.stderr);
});

test("the folder of the project may hold blanks and letters of any kind", async (t) => {
  const project = await TinyProject.make(t);
  const odd = path.join(path.dirname(project.folder), "my projéct (1)");
  cpSync(project.folder, odd, { recursive: true, verbatimSymlinks: true });
  rmSync(project.folder, { recursive: true });
  const { status, stdout } = await project.anvil(["forge"], { project: odd });
  assert.equal(status, 0, stdout);
  assert.equal(readFileSync(path.join(odd, "out/anvilos-phase2.iso"), "utf8"), "42\nhello\n");
});
