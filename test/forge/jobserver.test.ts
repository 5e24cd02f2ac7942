import assert from "node:assert/strict";
import path from "node:path";
import { after, test } from "node:test";
import type { ForgeEvent } from "../../src/forge/events.ts";
import type { Recipe } from "../../src/recipe/recipe.ts";
import { Rig, step, writeToFifo } from "./rig.ts";

const rig = await Rig.make({ after });

/** Each job says that it has begun and waits for a line in a FIFO of its own. */
const makefile = rig.projectFile("Makefile", "j%:\n\t@mkfifo go-$@; echo begun $@; read line < go-$@; echo ended $@\n");
const jobsOf = (count: number): string[] => Array.from({ length: count }, (_, i) => `j${i + 1}`);

/** A step whose make has so many jobs. */
const making = (name: string, count: number, inputs: readonly Recipe[] = []): Recipe =>
  step(name, `make -f /files/Makefile ${jobsOf(count).join(" ")}\ntouch /out/${name}`, { files: [makefile], inputs });

/** The jobs of these steps that have begun and were not let go, and those that were let go. */
class Jobs {
  readonly running: { readonly step: string; readonly job: string }[] = [];
  released = 0;
  most = 0;
  private readonly names: ReadonlyMap<string, string>;

  constructor(steps: readonly Recipe[]) {
    this.names = new Map(steps.map((each) => [rig.key(each), each.name]));
  }

  /** True when the event is the beginning of a job. */
  sees(event: ForgeEvent): boolean {
    const job = event.type === "output" ? /^begun (\w+)$/.exec(event.line)?.[1] : undefined;
    if (job === undefined || !("key" in event)) return false;
    this.running.push({ step: this.names.get(event.key) as string, job });
    this.most = Math.max(this.most, this.running.length);
    return true;
  }

  release(): void {
    const next = this.running.shift();
    if (next === undefined) return;
    this.released++;
    writeToFifo(path.join(rig.workFolder(next.step), `build/go-${next.job}`));
  }
}

test(
  "the makes of two steps together run as many jobs as there are tokens, and no more",
  { timeout: 300_000 },
  async () => {
    const steps = [making("left", 6), making("right", 6)];
    const jobs = new Jobs(steps);
    const run = await rig.forge(steps, {
      jobs: 3,
      on: (event) => {
        // nothing ends before three run, or all that are left
        if (jobs.sees(event))
          while (jobs.running.length > 0 && jobs.running.length >= Math.min(3, 12 - jobs.released)) jobs.release();
      },
    });
    assert.equal(run.ok, true);
    assert.equal(jobs.released, 12);
    assert.equal(jobs.most, 3);
  },
);

test("a step alone has all tokens", { timeout: 300_000 }, async () => {
  const alone = making("alone", 8);
  const jobs = new Jobs([alone]);
  await rig.forge(alone, {
    jobs: 4,
    on: (event) => {
      if (jobs.sees(event))
        while (jobs.running.length > 0 && jobs.running.length >= Math.min(4, 8 - jobs.released)) jobs.release();
    },
  });
  assert.equal(jobs.released, 8);
  assert.equal(jobs.most, 4);
});

test("with one job a make runs one at a time", { timeout: 300_000 }, async () => {
  const alone = making("one-by-one", 3);
  const jobs = new Jobs([alone]);
  await rig.forge(alone, {
    jobs: 1,
    on: (event) => {
      if (jobs.sees(event)) jobs.release();
    },
  });
  assert.equal(jobs.released, 3);
  assert.equal(jobs.most, 1);
});

test("tokens that a killed make had are there again for the next step", { timeout: 300_000 }, async () => {
  const script =
    "mkfifo go; make -f /files/Makefile j1 j2 & read -r line < go; kill -KILL $!; wait $! || touch /out/killed";
  const killed = step("killed", script, { files: [makefile] });
  const next = making("next", 2, [killed]);
  const jobs = new Jobs([killed, next]);
  const run = await rig.forge(next, {
    jobs: 2,
    on: (event) => {
      if (!jobs.sees(event) || jobs.running.length < 2) return;
      if (jobs.running.every((job) => job.step === "killed")) {
        // both of its jobs run, so its make has the second token
        jobs.running.length = 0;
        rig.release("killed");
      } else {
        while (jobs.running.length > 0) jobs.release();
      }
    },
  });
  assert.equal(run.ok, true);
  assert.deepEqual(run.made, ["killed", "next"]);
  assert.equal(jobs.released, 2, "both jobs of the next step ran at once");
});
