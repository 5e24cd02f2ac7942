import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { after, test } from "node:test";
import type { Manifest } from "../../src/forge/manifest.ts";
import { parseEvents } from "../../src/ui/json.ts";
import { sha256Of } from "../forge/sources.ts";
import { TinyProject } from "./tiny-project.ts";

const project = await TinyProject.make({ after });
const image = path.join(project.out, "anvilos-phase2.iso");
const manifest = path.join(project.out, "anvilos-phase2.manifest.json");
const debian = ["--channel", "debian"];

test("forge builds the ISO and puts it below out/, with a manifest of what it is made of", async () => {
  const { status, stdout, stderr } = await project.anvil(["forge", ...debian]);
  assert.equal(stderr, "");
  assert.equal(status, 0, stdout);
  assert.equal(readFileSync(image, "utf8"), "42\nhello\n");
  const { channel, components, files } = JSON.parse(readFileSync(manifest, "utf8")) as Manifest;
  assert.equal(channel.name, "debian");
  assert.deepEqual(files, [{ file: "anvilos-phase2.iso", bytes: 9, sha256: sha256Of(readFileSync(image)) }]);
  assert.deepEqual(
    components.map(({ name, proofs }) => [name, ...proofs.map(({ proof }) => proof)]),
    [
      ["base", "number =~ /^42$/"],
      ["iso", "has anvilos-phase2.iso"],
    ],
  );
});

test("with nothing to do, nothing is done, and no downloaded source is needed", async () => {
  const before = statSync(image);
  rmSync(project.store.paths.sources, { recursive: true });
  const { status, stdout } = await project.anvil(["forge", ...debian, "--json"]);
  assert.equal(status, 0);
  const types = parseEvents(stdout).map(({ type }) => type);
  assert.deepEqual(types, ["plan", "end"]);
  assert.equal(statSync(image).ino, before.ino);
  assert.equal(statSync(image).mtimeMs, before.mtimeMs);
});

test("a result that was deleted or changed is put there again without building", async () => {
  rmSync(image);
  const { status, stdout } = await project.anvil(["forge", ...debian, "--json"]);
  assert.equal(status, 0);
  assert.ok(!parseEvents(stdout).some(({ type }) => type === "start"));
  assert.equal(readFileSync(image, "utf8"), "42\nhello\n");
});

test("comments and the layout of a recipe rebuild nothing; a change of its script builds what depends on it", async () => {
  project.edit("export const base", "/** A comment. */\n\n\nexport const base");
  assert.ok(
    !parseEvents((await project.anvil(["forge", ...debian, "--json"])).stdout).some(({ type }) => type === "start"),
  );
  project.edit("echo 42", "echo '42'");
  const events = parseEvents((await project.anvil(["forge", ...debian, "--json"])).stdout);
  assert.equal(events.filter(({ type }) => type === "done").length, 2);
  assert.equal(readFileSync(image, "utf8"), "42\nhello\n");
});

test("a file of the project that is edited builds only what uses it", async () => {
  project.write("system/greeting", "good evening\n");
  const events = parseEvents((await project.anvil(["forge", ...debian, "--json"])).stdout);
  assert.equal(events.filter(({ type }) => type === "done").length, 1);
  assert.equal(readFileSync(image, "utf8"), "42\ngood evening\n");
});

test("a target is built alone, and nothing is put below out/", async () => {
  project.edit("42 > /out/number", "42 > /out/number; true");
  const before = statSync(image).mtimeMs;
  const { status, stdout } = await project.anvil(["forge", "base", ...debian]);
  assert.equal(status, 0, stdout);
  assert.equal(statSync(image).mtimeMs, before);
});

test("a failing step ends with status 1, its last lines, where the log is, and the way into the sandbox", async () => {
  project.edit("echo 42 > /out/number", "echo almost; exit 3");
  const { status, stdout, stderr } = await project.anvil(["forge", ...debian]);
  assert.equal(status, 1);
  assert.equal(stderr, "");
  assert.match(stdout, /E_STEP_FAILED/);
  assert.match(stdout, /base says 42/);
  assert.match(stdout, /almost/);
  assert.match(stdout, /anvil shell base/);
  const log = /log: +(\S+)/.exec(stdout)?.[1] ?? "";
  assert.equal(readFileSync(log, "utf8"), "base says 42\nalmost\n");
  assert.doesNotMatch(stdout, /\n\s+at /);
  assert.equal(readFileSync(image, "utf8"), "42\ngood evening\n", "the last result stays");
});

test("log prints the output of the newest build", async () => {
  const { status, stdout } = await project.anvil(["log", "base"]);
  assert.equal(status, 0);
  assert.equal(stdout, "base says 42\nalmost\n");
});

test("status says what is missing, and gc removes what no plan uses", async () => {
  project.edit("echo 42 > /out/number", "echo 42 > /out/number; : really");
  const before = await project.anvil(["status", ...debian, "--json"]);
  assert.equal(before.status, 1);
  const { missing } = JSON.parse(before.stdout) as { missing: { name: string }[] };
  assert.deepEqual(
    missing.map(({ name }) => name),
    ["base", "iso"],
  );
  assert.equal((await project.anvil(["forge", ...debian])).status, 0);
  assert.equal((await project.anvil(["status", ...debian])).status, 0);
  const versions = (): number =>
    readdirSync(project.store.paths.outputs).filter((name) => /-base$/.test(name) && !name.includes("seed")).length;
  assert.ok(versions() > 1);
  const dry = await project.anvil(["gc", "--dry-run"]);
  assert.match(dry.stdout, /^would remove {2}base$/m);
  assert.ok(versions() > 1);
  assert.equal((await project.anvil(["gc"])).status, 0);
  assert.equal(versions(), 1);
  assert.equal((await project.anvil(["status", ...debian])).status, 0, "what is needed is still there");
});

test("a number of jobs that is none is wrong usage", async () => {
  for (const jobs of ["0", "-1", "two", "1.5", "99999"]) {
    const { status, stderr } = await project.anvil(["forge", `--jobs=${jobs}`]);
    assert.equal(status, 2, jobs);
    assert.match(stderr, /^E_USAGE/);
  }
});

test("a target that does not exist is refused with those that do", async () => {
  const { status, stderr } = await project.anvil(["forge", "isso"]);
  assert.equal(status, 1);
  assert.match(stderr, /^E_NO_TARGET {2}there is no recipe "isso"\n {2}hint: recipes: seed-base, base, iso/);
});

test("an interrupted forge ends with status 130 and goes on the next time", async () => {
  project.edit("echo 42 > /out/number", "mkfifo never; echo held; read -r line < never; echo 42 > /out/number");
  const child = project.start(["forge", ...debian, "--json"]);
  child.stdin?.end();
  const closed = new Promise((resolve) => child.on("close", (code) => resolve(code)));
  let said = "";
  child.stdout?.on("data", (data: Buffer) => {
    const before = said.includes('"held"');
    said += data.toString("utf8");
    // once: a second signal ends it on the spot
    if (!before && said.includes('"held"')) child.kill("SIGINT");
  });
  assert.equal(await closed, 130);
  assert.deepEqual(readdirSync(project.store.paths.tmp), []);
  project.edit("echo 42 > /out/number", "echo 42 > /out/number; : again");
  assert.equal((await project.anvil(["forge", ...debian])).status, 0);
  assert.ok(existsSync(image));
});
