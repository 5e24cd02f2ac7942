/** A part of what test/long/judges.test.ts runs, compiled by the compiler of what ships. */
import { test } from "node:test";
import { gccTortureSample } from "../../recipes/judges.ts";
import { assertJudged } from "./judge.ts";
import { gccTorture } from "./known-failures.ts";

test("tests of GCC pass in the Monolith but for those that are known to fail", async (t) => {
  await assertJudged(t, [{ tests: gccTortureSample, known: gccTorture }]);
});
