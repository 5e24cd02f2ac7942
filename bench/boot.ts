/**
 * From power-on to a root shell: where the time goes. Guest seconds; under emulation the guest's clock is the host's.
 * The kernel counts from its own start, so what lies before it is the rest of the time on the host.
 * Prints a markdown table; run with `node dist/bench/boot.mjs` after `anvil forge`.
 */
import { vmLauncher } from "../src/project/launcher.ts";
import { probeAcceleration } from "../src/vm/accel.ts";
import { startMachine } from "../src/vm/machine.ts";
import { project } from "../test/this-project.ts";

const RUNS = 3;

const store = project.store;
const target = (await project.targets()).image(true);
const { channel } = await project.selectChannel("auto");
const { targets } = project.evaluate([target], channel);
const [image] = targets.map((key) => store.outputs.path(key)) as [string];
const launcher = await vmLauncher(project);
const acceleration = await probeAcceleration(launcher, { cacheDir: store.paths.top });

interface Split {
  readonly firmware: number;
  readonly kernel: number;
  readonly init: number;
  readonly system: number;
  readonly total: number;
}

async function measure(firmware: "seabios" | "ovmf"): Promise<Split> {
  const started = performance.now();
  const machine = await startMachine({
    name: `bench-${process.pid}`,
    launcher,
    acceleration,
    firmware,
    cdrom: `${image}/anvilos-phase2.iso`,
    memory: 1024,
    console: true,
  });
  await machine.serial.waitForLog(/\[root@|# $|root shell|root login/i);
  const total = (performance.now() - started) / 1000;
  await machine.console.ready();
  const log = await machine.console.succeed("dmesg | grep -E 'anvil-(init|rc|console): [0-9]'");
  const mark = (pattern: RegExp): number => Number(pattern.exec(log)?.[1] ?? Number.NaN);
  const start = mark(/anvil-init: ([\d.]+) start/);
  const handedOver = mark(/anvil-init: ([\d.]+) switch/);
  const shell = mark(/anvil-console: ([\d.]+) shell ttyS0/);
  await machine.kill();
  return { firmware: total - shell, kernel: start, init: handedOver - start, system: shell - handedOver, total };
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

process.stdout.write(`acceleration: ${acceleration.accel} (${acceleration.why}); median of ${RUNS}, guest seconds\n\n`);
process.stdout.write(
  "| firmware | firmware + boot loader | kernel | initramfs | services to shell | total |\n|---|---|---|---|---|---|\n",
);
for (const firmware of ["seabios", "ovmf"] as const) {
  const runs: Split[] = [];
  for (let run = 0; run < RUNS; run++) runs.push(await measure(firmware));
  const cell = (part: keyof Split): string => median(runs.map((split) => split[part])).toFixed(1);
  process.stdout.write(
    `| ${firmware} | ${cell("firmware")} | ${cell("kernel")} | ${cell("init")} | ${cell("system")} | ${cell("total")} |\n`,
  );
}
