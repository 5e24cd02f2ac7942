import { test } from "node:test";
import { gccTorture, posixTests } from "../../recipes/judges.ts";
import { assertJudged } from "../boot/judge.ts";
import * as known from "../boot/known-failures.ts";

test("all tests of GCC at every level, and of POSIX, by stage 3: those that are known to fail do, no others", async (t) => {
  await assertJudged(t, [
    { tests: gccTorture, known: known.gccTorture },
    { tests: posixTests, known: known.posixTests, inapplicable: [4, 5] },
  ]);
});
