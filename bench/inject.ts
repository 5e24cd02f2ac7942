/**
 * How fast an ingot gets into a running Monolith, and where the time goes, by the agent's own times: those that are named
 * (`node dist/bench/inject.mjs cc`), else 200 MB that do not compress and 200 MB that do. The machine has two
 * processors: a chunk is written beside the work on the next one, so that the times of the parts overlap. Prints a
 * markdown table; to be run after `anvil forge`.
 */
import { ingot } from "../recipes/ingot.ts";
import { seedBase } from "../recipes/seed.ts";
import { vmLauncher } from "../src/project/launcher.ts";
import { Client } from "../src/inject/client.ts";
import type { InjectEvent } from "../src/inject/events.ts";
import { inject } from "../src/inject/inject.ts";
import { requireKey } from "../src/inject/key-file.ts";
import { machineDestination } from "../src/inject/transport.ts";
import { exists } from "../src/recipe/proof.ts";
import { recipe } from "../src/recipe/recipe.ts";
import { probeAcceleration } from "../src/vm/accel.ts";
import { startMachine, type Machine } from "../src/vm/machine.ts";
import { make } from "./make.ts";
import { Ingot } from "../src/inject/ingot-file.ts";
import type { Ingot as IngotRecipe } from "../src/recipe/ingot.ts";
import { project } from "../test/this-project.ts";

const RUNS = 3;
const PARTS = ["receive", "hash", "unpack", "write", "prove", "snapshot", "activate"] as const;

/** 200 files of a megabyte each. @param line what perl prints 16 384 times per file: 64 bytes */
function payload(name: string, line: string): IngotRecipe {
  const tree = recipe({
    name: `bench-${name}`,
    licence: "0BSD",
    seed: seedBase,
    script: `\
mkdir -p /out/share
perl -e 'srand 1; for $file (100 .. 299) { open F, ">", "/out/share/$file"; print F ${line} for 1 .. 16384; close F }'
`,
    proves: [exists("share/*")],
  });
  return ingot({ name: `bench-${name}`, version: "1", trees: [tree] });
}

const all = await project.targets();
const { channel } = await project.selectChannel("auto");
const named = process.argv.slice(2).map((name) => all.ingot(name, channel));
const payloads = [
  payload("random", 'pack("N*", map { int rand 2**32 } 1 .. 16)'),
  // like a listing: most of a line is that of the one before
  payload("text", 'sprintf("%-40s %8d %12d\\n", "usr/lib/component/module-" . int(rand 999), $file, int rand 1e9)'),
];

const store = project.store;
const system = all.image(true);
const targets = [system, ...(named.length > 0 ? named : payloads).map(({ body }) => body)];
const [iso, ...bodies] = (await make(store, targets)) as [string, ...string[]];
const signal = new AbortController().signal;
const launcher = await vmLauncher(project);
const acceleration = await probeAcceleration(launcher, { cacheDir: store.paths.top });

interface Run {
  /** Seconds from the offer to the activation. */
  readonly seconds: number;
  /** Seconds by part. */
  readonly parts: Readonly<Record<string, number>>;
}

async function measure(machine: Machine, payload: Ingot): Promise<Run> {
  const times = new Map<InjectEvent["type"], number>();
  const facts = await inject(payload, machineDestination(machine), {
    allowDowngrade: false,
    signal,
    on: ({ type, t }) => times.set(type, t),
  });
  const client = await Client.open(machineDestination(machine), signal);
  await client.command(["remove", payload.manifest.name], () => undefined);
  client.close();
  const parts = Object.fromEntries(PARTS.map((part) => [part, Number(facts[`time-${part}`]) / 1000]));
  return { seconds: ((times.get("injected") ?? 0) - (times.get("ingot") ?? 0)) / 1000, parts };
}

const row = (...cells: readonly string[]): void => void process.stdout.write(`| ${cells.join(" | ")} |\n`);
const megabytes = (bytes: number): number => bytes / 1e6;

process.stdout.write(`acceleration: ${acceleration.accel} (${acceleration.why}); the median of ${RUNS} runs\n\n`);
row("payload", "unpacked", "sent", "seconds", "MB/s unpacked", "MB/s sent", ...PARTS);
row(...Array.from({ length: 6 + PARTS.length }, () => "---"));
const machine = await startMachine({
  name: `bench-${process.pid}`,
  launcher,
  acceleration,
  cdrom: `${iso}/anvilos-phase2.iso`,
  memory: 2048,
  cpus: 2,
  console: true,
  ingot: true,
});
try {
  await machine.console.ready({ timeoutMs: 120_000 });
  for (const body of bodies) {
    const each = await Ingot.ofBody(body, requireKey(project.keys));
    const runs: Run[] = [];
    for (let run = 0; run < RUNS; run++) runs.push(await measure(machine, each));
    await each.close();
    const { seconds, parts } = runs.sort((a, b) => a.seconds - b.seconds)[RUNS >> 1] as Run;
    const unpacked = megabytes(each.manifest.chunks.reduce((sum, { size }) => sum + size, 0));
    const sent = megabytes(each.stored);
    const share = (part: number): string => `${((100 * part) / seconds).toFixed(0)} %`;
    const told = PARTS.map((part) => parts[part] ?? 0);
    const rates = [unpacked, sent].map((size) => (size / seconds).toFixed(1));
    const sizes = [unpacked, sent].map((size) => `${size.toFixed(0)} MB`);
    row(each.manifest.name, ...sizes, seconds.toFixed(1), ...rates, ...told.map(share));
  }
} finally {
  await machine.kill();
}
