/** The linters of what is not TypeScript look at what they are said to look at. The tier forges them for this project. */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { lintC, lintShell, seedLint } from "../../recipes/lint.ts";
import type { Recipe } from "../../src/recipe/recipe.ts";
import { plantSeed, projectRoot, Rig, step, type Cleanup } from "../forge/rig.ts";

/** A project with a sound file of each language, and with these. */
async function projectWith(t: Cleanup, files: Readonly<Record<string, string>>): Promise<Rig> {
  const rig = await Rig.make(t);
  plantSeed(rig.store, rig.channel, symlinkSync, seedLint);
  for (const file of [".clang-format", ".clang-tidy"])
    cpSync(path.join(projectRoot, file), path.join(rig.project, file));
  const sound = {
    "native/sound/main.c": "int\nmain(void)\n{\n\treturn (0);\n}\n",
    "system/sound": '#!/bin/sh\nfor each in "$@"; do rm -- "$each"; done\n',
  };
  for (const [name, text] of Object.entries({ ...sound, ...files })) {
    mkdirSync(path.dirname(path.join(rig.project, name)), { recursive: true });
    writeFileSync(path.join(rig.project, name), text);
  }
  return rig;
}

/** What a linter says of a project with one more file. */
async function findings(t: Cleanup, linter: Recipe, file: string, text: string): Promise<string> {
  const rig = await projectWith(t, { [file]: text });
  const run = await rig.forge(linter);
  assert.equal(run.fault.code, "E_STEP_FAILED");
  return run.lines(linter.name).join("\n");
}

test("sound files are passed, and counted", async (t) => {
  const rig = await projectWith(t, {});
  const shell = lintShell([step("first", "touch /out/it"), step("second", 'for each in *; do echo "$each"; done')]);
  const run = await rig.forge([lintC, shell]);
  assert.equal(run.ok, true);
  assert.equal(rig.read(lintC, "said"), "1 files in form, 1 looked at\n");
  assert.equal(rig.read(shell, "said"), "2 scripts of steps, 1 of the system\n");
});

test("C out of form, and C that is in form and wrong, are found", async (t) => {
  assert.match(
    await findings(t, lintC, "native/sound/more.h", "int  more(void);\n"),
    /native\/sound\/more\.h:1:4: error: code should be clang-formatted/,
  );
  const wrong = "int *\ntake(int *from)\n{\n\tint own = *from;\n\n\treturn (&own);\n}\n";
  assert.match(await findings(t, lintC, "native/sound/wrong.c", wrong), /native\/sound\/wrong\.c:6:.*error: .*stack/);
});

test("a mistake in a script of the system is found, and one in the script of a step, which is named", async (t) => {
  const none = lintShell([step("first", "touch /out/it")]);
  assert.match(await findings(t, none, "system/wrong", "#!/bin/sh\nrm -rf $1\n"), /In system\/wrong line 2:[^]*SC2086/);
  const script = "if [ $JOBS > 1 ]; then touch /out/it; fi";
  const wrong = lintShell([step("inner", script), step("outer", "touch /out/it", { inputs: [step("deep", script)] })]);
  const said = await findings(t, wrong, "system/other", "#!/bin/sh\ntrue\n");
  assert.match(said, /In inner line \d+:[^]*SC2071/);
  assert.match(said, /In deep line \d+:[^]*SC2071/);
});
