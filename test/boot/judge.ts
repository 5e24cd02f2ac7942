/** Runs the tests of `recipes/judges.ts` in the Monolith and compares what fails with what is known to. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import type { TestContext } from "node:test";
import type { Recipe } from "../../src/recipe/recipe.ts";
import type { Known } from "./known-failures.ts";
import { boot, monolith, output } from "./monolith.ts";

export interface Judge {
  readonly tests: Recipe;
  readonly known: Known;
  /** Statuses by which a test says that it does not apply. */
  readonly inapplicable?: readonly number[];
}

/** Before `timeScale`. */
const LIMIT = { timeoutMs: 600_000 };
const SECONDS_PER_TEST = 30;

/** One machine for all of them. Prints the numbers of each. */
export async function assertJudged(t: TestContext, judges: readonly Judge[]): Promise<void> {
  const { iso } = await monolith();
  const trees = await Promise.all(judges.map(({ tests }) => output(tests)));
  const disks = trees.map((tree) => ({ path: path.join(tree, "tests.tar"), bus: "virtio", readOnly: true }) as const);
  const { console } = await boot(t, { cdrom: iso, disks, memory: 2048 });
  for (const [index, { tests, known, inapplicable = [] }] of judges.entries()) {
    await t.test(tests.name, async (t) => {
      const disk = `/dev/vd${"abcdefgh".charAt(index)}`;
      const folder = `/tmp/${tests.name}`;
      await console.succeed(`mkdir ${folder}; tar -x -C ${folder} -f ${disk}`, LIMIT);
      const run = `cd ${folder}; ./judge 4 ${SECONDS_PER_TEST} < list > verdict`;
      // what failed beside others may only have been too slow
      const again = `sed '/ ran$/d; s/ .*//' verdict > late; ./judge 1 ${SECONDS_PER_TEST} < late`;
      const said = lines(await console.succeed(`${run}; ${again}; rm -rf ${folder}`, LIMIT)).slice(0, -1);
      compare(t, trees[index] ?? "", known, new Map(said.map(splitVerdict)), inapplicable);
    });
  }
}

const lines = (text: string): string[] => text.split("\n").filter((line) => line !== "");

/** `O2/pr1 signal 6` */
function splitVerdict(line: string): readonly [string, string] {
  const space = line.indexOf(" ");
  return [line.slice(0, space), line.slice(space + 1)];
}

function compare(
  t: TestContext,
  tree: string,
  known: Known,
  verdicts: ReadonlyMap<string, string>,
  inapplicable: readonly number[],
): void {
  const read = (name: string): string[] => lines(readFileSync(path.join(tree, name), "utf8"));
  const [list, refused] = [read("list"), read("refused")];
  const failed = new Map([...verdicts].filter(([, how]) => !inapplicable.some((status) => how === `status ${status}`)));
  for (const name of refused) failed.set(name, "is not compiled");
  t.diagnostic(
    `${list.length} run, ${refused.length} not compiled; ${list.length - verdicts.size} pass, ${failed.size} fail`,
  );
  const unknown = [...failed].filter(([name]) => known[name] === undefined).map((verdict) => verdict.join(" "));
  assert.deepEqual(unknown, [], "these fail, and no reason is known");
  const mended = [...list, ...refused].filter((name) => known[name] !== undefined && !failed.has(name));
  assert.deepEqual(mended, [], "these are listed as failures, and pass");
}
