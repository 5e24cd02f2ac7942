/** As test/boot/workshop.test.ts, with more work: 11 minutes emulated for musl alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { buildRoot } from "../../recipes/build-root.ts";
import { busybox } from "../../recipes/busybox.ts";
import { bzip2 } from "../../recipes/bzip2.ts";
import { ingot } from "../../recipes/ingot.ts";
import { stage2 } from "../../recipes/stages.ts";
import { anvilCxx } from "../../recipes/toolchain.ts";
import { portableSteps } from "../../recipes/workshop.ts";
import { boot, monolith, powerOff } from "../boot/monolith.ts";
import { Pieces } from "../boot/workshop.ts";

test("musl and busybox built in the Monolith are those that the sandbox builds", async (t) => {
  const musl = portableSteps([stage2]).find(({ name }) => name === "musl-stage2");
  assert.ok(musl !== undefined);
  const portable = Object.freeze({ ...busybox, name: "busybox-portable", root: buildRoot, tools: [anvilCxx, bzip2] });
  const here = await Pieces.make(t, ingot({ name: "pieces", version: "1", trees: [musl, portable] }));
  const { iso } = await monolith();
  const machine = await boot(t, { cdrom: iso, ingot: true, memory: 4096, cpus: 2, stateDir: here.store.paths.top });
  assert.equal(await here.build(machine, new AbortController().signal), true);
  await here.assertSame();
  await powerOff(machine);
});
