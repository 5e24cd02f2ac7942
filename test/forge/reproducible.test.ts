import assert from "node:assert/strict";
import { chmodSync, utimesSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { cpio, type Output } from "../../src/recipe/recipe.ts";
import { Rig, step } from "./rig.ts";

/** Archives tell most about where and when they were made: owners, times, modes, names. */
function graph(file: string): Output {
  const objects = step(
    "objects",
    `
cat > Makefile <<'END'
all: $(foreach i,1 2 3 4 5 6 7 8 9 10 11 12,$(i).o); @:
%.o:
	@echo $@ > $@
END
make
cp *.o /out
tar --sort=name --mtime=@$SOURCE_DATE_EPOCH -cf /out/objects.tar *.o
`,
  );
  const packed = step(
    "packed",
    `
(umask; id -u; id -g; pwd; hostname; env | grep -Ev '^(JOBS|MAKEFLAGS)=' | sort) > report
touch -d @$SOURCE_DATE_EPOCH report
tar --sort=name -C /in -cf - objects -C /files system -C /build report | gzip -n > /out/packed.tar.gz
(cd /in/objects && find . | sort | cpio -o -H newc --reproducible --quiet) > /out/packed.cpio
`,
    { inputs: [objects], files: [file] },
  );
  return cpio("image", packed);
}

interface Surroundings {
  readonly jobs: number;
  readonly umask: number;
  /** When the project's file was written, and with which permissions. */
  readonly modified: Date;
  readonly mode: number;
}

async function build(t: TestContext, around: Surroundings): Promise<Record<string, string>> {
  const rig = await Rig.make(t);
  const file = path.dirname(rig.projectFile("system/data", "data\n"));
  chmodSync(path.join(rig.project, "system/data"), around.mode);
  utimesSync(path.join(rig.project, "system/data"), around.modified, around.modified);
  const before = process.umask(around.umask);
  const run = await rig.forge(graph(file), { jobs: around.jobs }).finally(() => process.umask(before));
  assert.equal(run.ok, true, JSON.stringify(run.events.filter(({ type }) => type === "failed")));
  return Object.fromEntries(rig.store.outputs.records().map(({ name, digest }) => [name, digest]));
}

test("outputs are the same bytes in another folder, with another number of jobs, at another time, under another umask", async (t) => {
  const first = await build(t, { jobs: 1, umask: 0o022, modified: new Date(2001, 1, 1), mode: 0o644 });
  const second = await build(t, { jobs: 4, umask: 0o077, modified: new Date(), mode: 0o600 });
  assert.deepEqual(Object.keys(first).sort(), ["image", "objects", "packed", "seed-base"]);
  assert.deepEqual(second, first);
});
