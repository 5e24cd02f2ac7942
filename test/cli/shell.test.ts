import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { after, test } from "node:test";
import type { Key } from "../../src/recipe/derivation.ts";
import { withDescriptor } from "../forge/confined.ts";
import { expectedOfCalls, forbiddenCalls, noneWritable, writableProc } from "../sandbox/probe.ts";
import { ended, TinyProject } from "./tiny-project.ts";

const project = await TinyProject.make({ after });
const debian = ["--channel", "debian"];

test("shell opens the sandbox of a step with its inputs, environment and project files", async () => {
  assert.equal((await project.anvil(["forge", "base", ...debian])).status, 0);
  const inside =
    "pwd; cat /in/base/number /files/system/greeting; echo $SOURCE_DATE_EPOCH; id -u; hostname; ls /build /out";
  const { status, stdout, stderr } = await project.anvil([
    "shell",
    "iso",
    ...debian,
    "--",
    "/usr/bin/bash",
    "-c",
    inside,
  ]);
  assert.equal(stderr, "");
  assert.equal(status, 0);
  assert.match(stdout, /^\/build\n42\nhello\n\d{10}\n1000\nanvil\n\/build:\n\n\/out:\n$/);
});

test("the whole step runs in a fresh sandbox, and nothing of it is kept", async () => {
  const run = "bash /anvil/step.sh && cat /out/anvilos-phase2.iso";
  const { status, stdout } = await project.anvil(["shell", "iso", ...debian, "--", "/usr/bin/bash", "-c", run]);
  assert.equal(status, 0);
  assert.equal(stdout, "42\nhello\n");
  assert.deepEqual(readdirSync(project.store.paths.tmp), []);
  assert.equal((await project.anvil(["status", ...debian])).status, 1, "it did not build anything");
});

test("after a failure shell opens the very sandbox that failed, as it was left, each time", async () => {
  project.edit("echo 42 > /out/number", "echo partial > /out/partial; echo work > work; exit 3");
  assert.equal((await project.anvil(["forge", "base", ...debian])).status, 1);
  for (let time = 0; time < 2; time++) {
    const { status, stdout } = await project.anvil([
      "shell",
      "base",
      ...debian,
      "--",
      "/usr/bin/cat",
      "/out/partial",
      "work",
    ]);
    assert.equal(status, 0);
    assert.equal(stdout, "partial\nwork\n");
  }
});

test("a shell without a command reads from the terminal, says which sandbox it is, and gives its status", async () => {
  const { status, stdout, stderr } = await project.anvil(["shell", "base", ...debian], { input: "cat work\nexit 5\n" });
  assert.equal(status, 5);
  assert.equal(stdout, "work\n");
  assert.match(stderr, /^the sandbox that failed of base /);
});

test("an output that fails its proof is in /out", async () => {
  project.edit("echo 42 > /out/number", "echo 41 > /out/number");
  const forged = await project.anvil(["forge", "base", ...debian]);
  assert.equal(forged.status, 1);
  assert.match(forged.stdout, /E_PROOF/);
  const { stdout } = await project.anvil(["shell", "base", ...debian, "--", "/usr/bin/cat", "/out/number"]);
  assert.equal(stdout, "41\n");
});

test("a sandbox whose inputs are not built is refused with what is missing", async () => {
  project.edit("echo 42 > /out/number", "echo 42 > /out/number; : other");
  const { status, stderr } = await project.anvil(["shell", "iso", ...debian]);
  assert.equal(status, 1);
  assert.match(stderr, /^E_NO_INPUTS {2}iso needs what is not built yet\n {2}base/);
  assert.match(stderr, /hint: anvil forge /);
});

test("what has no script has no sandbox", async () => {
  const { status, stderr } = await project.anvil(["shell", "seed-base", ...debian]);
  assert.equal(status, 1);
  assert.match(stderr, /^E_NO_TARGET/);
});

test("a shell is held as its step is: no file of /proc to write, no way into the terminal, limits, no other descriptor", async () => {
  project.edit("none", "none");
  assert.equal((await project.anvil(["forge", "base", ...debian])).status, 0);
  const script = `${writableProc}\nperl -e '${forbiddenCalls}'\nulimit -f\nls /proc/self/fd | wc -w`;
  const seed = project.store.outputs.records().find(({ name }) => name === "seed-base")?.key as Key;
  const wrap = withDescriptor(project.store.outputs.path(seed), 40, "/dev/zero");
  const anvil = [`${project.folder}/bin/anvil`, "shell", "base", ...debian, "--", "/usr/bin/bash", "-c", script];
  const { command, args } = wrap(process.execPath, anvil);
  const child = spawn(command, args, { env: { HOME: project.home, ANVIL_STEP_FILE_SIZE: "3M" } });
  child.stdin.end();
  const { status, stdout, stderr } = await ended(child);
  assert.equal(status, 0, stderr);
  const lines = stdout.trim().split("\n");
  assert.match(lines[0] ?? "", noneWritable);
  // ls has a descriptor for the folder
  assert.deepEqual(lines.slice(1), [...expectedOfCalls(), "3072", "4"]);
});

test("a limit that is none is refused, by its variable's name", async () => {
  for (const [name, value] of [
    ["ANVIL_STEP_MEMORY", "much"],
    ["ANVIL_STEP_PROCESSES", "4K"],
    ["ANVIL_STEP_FILE_SIZE", "-1"],
  ] as const) {
    const env = { HOME: project.home, [name]: value };
    for (const command of [
      ["shell", "base"],
      ["forge", "base"],
    ]) {
      const { status, stderr } = await project.anvil([...command, ...debian], { env });
      assert.equal(status, 1);
      assert.match(stderr, new RegExp(`^E_LIMIT {2}${name}=${value} is no limit\n {2}hint: ${name}=`));
    }
  }
});
