import { test } from "node:test";
import { assertReproducible } from "../reproducible.ts";

test("a library and busybox built in another folder, later and with one job are the same bytes", async (t) => {
  await assertReproducible(t, ["zlib", "busybox"], 1);
});
