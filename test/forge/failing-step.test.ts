import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { after, test } from "node:test";
import { failedFolder, logFile } from "../../src/forge/step.ts";
import type { Recipe } from "../../src/recipe/recipe.ts";
import { Rig, step, type Run } from "./rig.ts";

const rig = await Rig.make({ after });

const kept = (recipe: Recipe): string => failedFolder(rig.store, rig.key(recipe), recipe.name);

function tailOf(run: Run): readonly string[] {
  return run.events.flatMap((event) => (event.type === "failed" ? event.tail : []));
}

test("a step that fails is told with its exit status, its last lines, its log and the way into its sandbox", async () => {
  const lines = Array.from({ length: 40 }, (_, i) => `line ${i + 1}`);
  const broken = step("broken", `seq -f 'line %g' 40; echo partial > /out/partial; echo work > work; exit 7`);
  const run = await rig.forge(broken);
  assert.equal(run.ok, false);
  const { code, message, hint, log } = run.fault;
  assert.equal(code, "E_STEP_FAILED");
  assert.equal(message, "broken  ended with exit status 7");
  assert.match(hint ?? "", /^anvil shell broken /);
  assert.equal(log, logFile(rig.store, rig.key(broken), "broken"));
  assert.deepEqual(readFileSync(log, "utf8"), `${lines.join("\n")}\n`);
  assert.deepEqual(tailOf(run), lines.slice(-30));
  assert.equal(rig.store.outputs.has(rig.key(broken)), false);
  assert.equal(readFileSync(path.join(kept(broken), "out/partial"), "utf8"), "partial\n");
  assert.equal(readFileSync(path.join(kept(broken), "build/work"), "utf8"), "work\n");
  assert.deepEqual(readdirSync(rig.store.paths.tmp), []);
});

test("the sandbox of the last failure is kept, not that of an earlier one", async () => {
  const flaky = step("flaky", "echo x > /out/$RANDOM$RANDOM; exit 1");
  await rig.forge(flaky);
  const first = readdirSync(path.join(kept(flaky), "out"));
  await rig.forge(flaky);
  const second = readdirSync(path.join(kept(flaky), "out"));
  assert.equal(second.length, 1);
  assert.notDeepEqual(second, first);
});

test("the first command that fails ends a script, also in a pipe, and an unset variable does", async () => {
  for (const [index, script] of ["false", "false | true", "echo $UNSET", "nonexistent-command"].entries()) {
    const run = await rig.forge(step(`strict-${index}`, `${script}\necho went on\ntouch /out/a`));
    assert.equal(run.fault.code, "E_STEP_FAILED", script);
    assert.ok(!run.lines(`strict-${index}`).includes("went on"), script);
  }
});

test("a script that makes nothing fails its proof", async () => {
  const run = await rig.forge(step("empty", "true"));
  assert.equal(run.fault.code, "E_PROOF");
});

test("an output that cannot be stored is refused: a pipe, a name that is no text", async () => {
  const pipe = await rig.forge(step("pipe", "mkfifo /out/pipe; touch /out/a"));
  assert.equal(pipe.fault.code, "E_OUTPUT_FILE_TYPE");
  assert.deepEqual(pipe.fault.details, ["pipe"]);
  const name = await rig.forge(step("name", `touch "/out/$(printf '\\377')"`));
  assert.equal(name.fault.code, "E_OUTPUT_NAME");
});

test("folders and files without permissions do not hinder the forge when it stores or deletes them", async () => {
  const odd = step(
    "odd",
    "mkdir -p /out/d left/e; touch /out/d/f left/e/f; chmod 000 /out/d/f left/e left; touch /out/a",
  );
  const run = await rig.forge(odd);
  assert.equal(run.ok, true, run.ok ? "" : run.fault.message);
  assert.ok(existsSync(rig.output(odd, "d/f")));
  assert.deepEqual(readdirSync(rig.store.paths.tmp), []);
});

test("output without an end of line, in bytes that are no text, or in one endless line does no harm", async () => {
  const loud = step(
    "loud",
    "printf 'no end'; printf '\\377\\376\\n' >&2; head -c 300000 /dev/zero | tr '\\0' x; touch /out/a",
  );
  const run = await rig.forge(loud);
  assert.equal(run.ok, true);
  const lines = run.lines("loud");
  assert.ok(lines.includes("\ufffd\ufffd"));
  const length = lines.reduce((sum, line) => sum + line.length, 0);
  assert.equal(length, "no end".length + 2 + 300_000);
  assert.ok(lines.every((line) => line.length < 200_000));
  const log = readFileSync(logFile(rig.store, rig.key(loud), "loud"));
  assert.equal(log.length, "no end".length + 3 + 300_000);
});

test("what a step leaves running ends with it", async () => {
  const left = step("left", "(while :; do :; done) > /dev/null 2>&1 & (while :; do :; done) & touch /out/a");
  const run = await rig.forge(left);
  assert.equal(run.ok, true);
  assert.deepEqual(run.made, ["left"]);
});

test("after the recipe is mended it is built, and the log is the new one", async () => {
  const broken = step("mended", "echo broken; exit 1");
  await rig.forge(broken);
  const mended = step("mended", "echo mended; touch /out/a");
  const run = await rig.forge(mended);
  assert.equal(run.ok, true);
  assert.equal(readFileSync(logFile(rig.store, rig.key(mended), "mended"), "utf8"), "mended\n");
});
