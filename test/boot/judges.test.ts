/** A part of what test/long/judges.test.ts runs, compiled by the compiler of what ships. */
import { test } from "node:test";
import { gccTortureSample, libcTestsuite, posixTestsSample } from "../../recipes/judges.ts";
import { assertJudged } from "./judge.ts";
import * as known from "./known-failures.ts";

test("tests of GCC, POSIX and libc-testsuite pass in the Monolith but for those that are known to fail", async (t) => {
  await assertJudged(t, [
    { tests: gccTortureSample, known: known.gccTorture },
    { tests: posixTestsSample, known: known.posixTests, inapplicable: [4, 5] },
    { tests: libcTestsuite, known: known.libcTestsuite },
  ]);
});
