import { test } from "node:test";
import { assertReproducible } from "../reproducible.ts";

test("stage 3 of the compiler built again with three jobs is the same bytes", async (t) => {
  await assertReproducible(t, ["binutils-stage3", "gcc-stage3", "stage3"], 3);
});
