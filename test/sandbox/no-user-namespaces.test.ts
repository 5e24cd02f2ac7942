import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import type { Fault } from "../../src/fault/fault.ts";
import { withoutUserNamespaces } from "../forge/confined.ts";
import { Rig, step } from "../forge/rig.ts";

const simple = step("simple", "echo > /out/file");

test("where user namespaces are off, the forge says so and how to turn them on", async (t) => {
  const rig = await Rig.make(t);
  const wrap = withoutUserNamespaces(rig.seedTree);
  const tried = wrap(process.execPath, ["-e", "0"]);
  if (spawnSync(tried.command, tried.args, { env: {} }).status !== 0) {
    return t.skip("this machine does not let them be turned off");
  }
  const forge = rig.spawn(simple, { wrap });
  const { status, stderr } = await forge.ended;
  assert.equal(status, 1);
  assert.equal(stderr, "");
  const faults = forge.events.flatMap((event) => (event.type === "failed" ? [event.fault] : []));
  assert.equal(faults.length, 1);
  const { code, message, details, hint } = faults[0] as Fault;
  assert.equal(code, "E_NO_USER_NAMESPACES");
  assert.equal(message, "this machine does not let the forge make a sandbox");
  assert.match(details.join("\n"), /^bubblewrap: .*\n/);
  assert.ok(details.includes("user.max_user_namespaces = 0"), details.join("\n"));
  assert.equal(hint, "turn user namespaces on: sysctl -w user.max_user_namespaces=15000");
  assert.deepEqual(forge.made, []);
  assert.equal(rig.store.outputs.has(rig.key(simple)), false);
  const again = await rig.forge(simple);
  assert.equal(again.ok, true, "and once they are on, it works");
  assert.deepEqual(readdirSync(rig.store.paths.tmp), []);
});
