import { test } from "node:test";
import { gccTorture } from "../../recipes/judges.ts";
import { assertJudged } from "../boot/judge.ts";
import * as known from "../boot/known-failures.ts";

test("all tests of GCC at every level, by stage 3: those that are known to fail do, and no others", async (t) => {
  await assertJudged(t, [{ tests: gccTorture, known: known.gccTorture }]);
});
