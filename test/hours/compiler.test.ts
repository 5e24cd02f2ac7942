import assert from "node:assert/strict";
import { test } from "node:test";
import { ingot } from "../../recipes/ingot.ts";
import { stage3 } from "../../recipes/stages.ts";
import { boot, monolith, powerOff } from "../boot/monolith.ts";
import { Pieces } from "../boot/workshop.ts";

test("stages 2 and 3 of the compiler built in the Monolith are those that the sandbox builds", async (t) => {
  const here = await Pieces.make(t, ingot({ name: "compiler", version: "1", trees: [stage3] }));
  const { iso } = await monolith();
  const machine = await boot(t, { cdrom: iso, ingot: true, memory: 12288, cpus: 2, stateDir: here.store.paths.top });
  assert.equal(await here.build(machine, new AbortController().signal), true);
  await here.assertSame();
  await powerOff(machine);
});
