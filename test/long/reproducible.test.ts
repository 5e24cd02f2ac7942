import { test } from "node:test";
import { assertReproducible } from "../reproducible.ts";

test("the kernel built in another folder, later and with three jobs is the same bytes", async (t) => {
  await assertReproducible(t, ["linux"], 3);
});

test("the pool image and the ISO made again are the same bytes", async (t) => {
  await assertReproducible(t, ["pool-image", "iso"], 1);
});

test("the compiler built again with three jobs is the same bytes", async (t) => {
  await assertReproducible(t, ["binutils", "anvil-cc"], 3);
});
