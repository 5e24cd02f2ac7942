import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, test } from "node:test";
import { TinyProject } from "./tiny-project.ts";

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
