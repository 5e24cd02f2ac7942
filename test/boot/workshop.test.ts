/** Steps that the running Monolith builds are byte for byte what the sandbox makes of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bash } from "../../recipes/bash.ts";
import { rootOf } from "../../recipes/build-root.ts";
import { ingot } from "../../recipes/ingot.ts";
import { make } from "../../recipes/make.ts";
import { anvilCc } from "../../recipes/toolchain.ts";
import { builtByAnvilCc, exists } from "../../src/recipe/proof.ts";
import { recipe, type Recipe } from "../../src/recipe/recipe.ts";
import { boot, emptyDisk, monolith, powerOff, scratch } from "./monolith.ts";
import { Pieces } from "./workshop.ts";

const events = "/ingots/workshop-pieces/data/*/events";
const LONG = { timeoutMs: 600_000 };

/** What the pieces need of `buildRoot`. */
const root = rootOf("small-root", [bash, make]);

/** A second's work, and all that tells one place from another: it must not get into an output. */
const surroundings = recipe({
  name: "surroundings",
  licence: "Apache-2.0",
  files: ["system/toolchain/specs"],
  root,
  tools: [anvilCc],
  env: { QUOTED: `"it's" $HOME` },
  script: `
env | grep -v -e ^MAKEFLAGS= -e ^JOBS= | sort > /out/environment
{ id -u; id -g; umask; pwd; hostname; grep -e ^NoNewPrivs -e ^CapEff /proc/self/status; } > /out/process
for path in / /dev /files /tools/* /build /out /tmp; do echo "$path: $(ls -A $path | tr '\\n' ' ')"; done > /out/places
{ stat -c '%n %F' /dev/*; stat -c '%n %a %u' /dev /build /out /tmp; } > /out/kinds
if touch /usr/new 2> /dev/null || touch /new 2> /dev/null || touch /tools/new 2> /dev/null; then exit 1; fi
echo 'int main(void) { return 0; }' > /tmp/empty.c
$ANVIL_TARGET-gcc -O2 -o /out/empty /tmp/empty.c
/out/empty
mkdir -p '/out/a b'
ln -s ../environment '/out/a b/link'
install -m 700 /out/empty '/out/a b/mine'
sleep 3
`,
  proves: [builtByAnvilCc("empty")],
});

const portableMake: Recipe = Object.freeze({
  ...make,
  name: "make-portable",
  root,
  tools: [surroundings, anvilCc],
});

/** Long enough for a power cut. */
const slow = recipe({
  name: "slow",
  licence: "Apache-2.0",
  root,
  inputs: [surroundings],
  script: "sleep 10\nsort /in/surroundings/environment > /out/sorted\n",
  proves: [exists("sorted")],
});

test("make is the same bytes as from the sandbox, whoever is killed meanwhile", async (t) => {
  const pieces = ingot({ name: "pieces", version: "1", trees: [portableMake] });
  const here = await Pieces.make(t, pieces);
  const { iso } = await monolith();
  const machine = await boot(t, { cdrom: iso, ingot: true, memory: 4096, cpus: 2, stateDir: here.store.paths.top });
  const happened = (line: string): Promise<string> =>
    machine.console.succeed(`until grep -q '${line}' ${events}; do sleep 1; done`, LONG);

  // the host goes while the first step is built; the work there goes on
  const leaving = new AbortController();
  const left = here.build(machine, leaving.signal).catch((error: unknown) => error);
  await happened("^start surroundings");
  leaving.abort();
  await left;
  await happened("^start make-portable");

  // a service that is killed begins the step anew that it was at, and keeps what is finished
  const again = here.build(machine, new AbortController().signal);
  await machine.console.succeed("kill -9 $(cat /run/service/workshop-pieces/supervise/pid)", LONG);
  await machine.console.succeed(`until [ $(grep -c '^start make-portable' ${events}) = 2 ]; do sleep 1; done`, LONG);
  assert.equal((await machine.console.succeed(`grep -c '^start surroundings' ${events}`)).trim(), "1");
  // while it is followed, others have their turn
  assert.match(await here.list(machine), /^workshop-pieces 1 [0-9a-f]{12} active /m);
  assert.equal(await again, true);
  await here.assertSame();
  assert.equal((await machine.console.succeed("anvil-ingot list; ls /ingots")).trim(), "bin");
  await powerOff(machine);
});

test("an installed system goes on after a power cut with the step that it was at", async (t) => {
  const here = await Pieces.make(t, ingot({ name: "pieces", version: "1", trees: [slow] }));
  const { iso } = await monolith();
  const disk = { path: emptyDisk(scratch(t), 4), bus: "virtio" as const };
  const live = await boot(t, { cdrom: iso, disks: [disk], bootOrder: ["cdrom"] });
  await live.console.succeed("anvil-install --yes /dev/vda", LONG);
  await powerOff(live);

  const installed = { disks: [disk], ingot: true, stateDir: here.store.paths.top };
  const first = await boot(t, installed);
  const lost = here.build(first, new AbortController().signal).catch((error: unknown) => error);
  await first.console.succeed(`until grep -q '^start slow' ${events}; do sleep 1; done`, LONG);
  await first.kill();
  assert.notEqual(await lost, true);

  const second = await boot(t, installed);
  assert.equal((await second.console.succeed(`grep -c '^done surroundings' ${events}`)).trim(), "1");
  assert.equal(await here.build(second, new AbortController().signal), true);
  await here.assertSame();
  await powerOff(second);
});
