/** `anvil boot`: what is refused before anything is looked for. test/boot starts real machines. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { anvil, temporaryFolder } from "./command-line.ts";

test("options of the network that mean nothing are wrong usage", async (t) => {
  const cache = temporaryFolder(t);
  const refused = async (args: readonly string[], why: RegExp): Promise<void> => {
    const { status, stderr } = await anvil(["boot", ...args], { cache });
    assert.equal(status, 2, stderr);
    assert.match(stderr, /^E_USAGE {2}/);
    assert.match(stderr, why);
  };
  await refused(["--forward", "22"], /<port here>:<port there>/);
  await refused(["--forward", "2222:22", "--forward", "2222:23"], /same port of this host/);
  await refused(["--network", "bridge"], /user, restricted or none, not "bridge"/);
  await refused(["--network", "none", "--forward", "2222:22"], /needs a network card/);
  await refused(["--no-network", "--forward", "2222:22"], /needs a network card/);
});
