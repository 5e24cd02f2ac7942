/**
 * A branch of a cluster of 1 GB whose writers go on, on an installed Monolith: how long it takes until the branch answers,
 * beside a copy of the same cluster by pg_basebackup, and how long a transaction took at most meanwhile, beside what it took
 * at most in as long a time before. Prints a markdown table; run with `node dist/bench/branch.mjs` after `anvil forge iso
 * ingot-db`. In an emulated machine all times are long.
 */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import { parseArgs } from "node:util";
import { Monolith } from "../test/db/monolith.ts";

const { values } = parseArgs({
  options: { scale: { type: "string", default: "70" }, branches: { type: "string", default: "5" } },
});
/** pgbench's scale: 70 makes a cluster of 1 GB. */
const scale = Number(values.scale);
const branches = Number(values.branches);
const SOCKET = "-U postgres -h /run/anvil-db/main";
const REST = 20;

const cleaning: (() => unknown)[] = [];
const t = { after: (act: () => unknown): void => void cleaning.push(act) } as unknown as TestContext;

const median = (numbers: readonly number[]): number =>
  [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN;

/** A command in the machine: the second of the wall clock in which it began, and seconds on the clock of the machine. */
async function timed(machine: Monolith, command: string): Promise<{ at: number; seconds: number }> {
  const said = await machine.inside(
    `read from rest </proc/uptime; date +%s; { ${command}; } >&2 || echo failed; read to rest </proc/uptime; echo "$from $to"`,
  );
  const lines = said.split("\n");
  if (lines.includes("failed")) throw new Error(`${command}\n${said}`);
  const [from = Number.NaN, to = Number.NaN] = (lines.at(-1) ?? "").split(" ").map(Number);
  return { at: Number(lines[0]), seconds: to - from };
}

/** The longest transaction that ended in those seconds of the wall clock: milliseconds. */
async function longest(machine: Monolith, from: number, to: number): Promise<{ count: number; ms: number }> {
  const said = await machine.inside(
    `cat /tmp/latency.* | awk '$5 >= ${from} && $5 <= ${to} { n++; if ($3 > most) most = $3 } END { print n + 0, most / 1000 }'`,
  );
  const [count = 0, ms = Number.NaN] = said.split(" ").map(Number);
  return { count, ms };
}

function row(...cells: readonly string[]): void {
  process.stdout.write(`| ${cells.join(" | ")} |\n`);
}

try {
  const folder = mkdtempSync(path.join(os.tmpdir(), "anvil-bench-"));
  cleaning.push(() => rmSync(folder, { recursive: true, force: true }));
  const name = `bench-branch-${process.pid}`;
  const disk = path.join(folder, "disk.img");
  const live = await Monolith.boot(t, name, ["--disk", disk, "--disk-size", "16"]);
  await live.inside("anvil-install --yes /dev/vda");
  await live.powerOff();
  const machine = await Monolith.boot(t, name, ["--disk", disk, "--cpus", "2"]);
  await machine.succeed("inject", "db", "--plain");
  const filling = `pgbench -q -i -I dtGvp -s ${scale} ${SOCKET} postgres </dev/null >/tmp/filling 2>&1; echo $? >/tmp/filled`;
  await machine.inside(`(${filling}) </dev/null >/dev/null 2>&1 &`);
  await machine.inside("until [ -e /tmp/filled ]; do sleep 1; done; tail -n 3 /tmp/filling; exit $(cat /tmp/filled)");
  const bytes = Number(await machine.sql("main", "select sum(pg_database_size(oid)) from pg_database"));

  await machine.inside(
    `cd /tmp; pgbench -N -c 2 -T 100000 -l --log-prefix=/tmp/latency ${SOCKET} postgres </dev/null >/dev/null 2>&1 &`,
  );
  const seconds: number[] = [];
  const during: number[] = [];
  const before: number[] = [];
  for (let i = 0; i < branches; i++) {
    await machine.inside(`sleep ${REST}`);
    const { at, seconds: took } = await timed(machine, "anvil-db branch main bench");
    const length = Math.ceil(took) + 1;
    // a transaction that was held up has ended by then
    await machine.inside("sleep 2");
    seconds.push(took);
    during.push((await longest(machine, at, at + length)).ms);
    before.push((await longest(machine, at - 1 - length, at - 1)).ms);
    await machine.inside("anvil-db destroy bench");
  }
  const copy = await timed(machine, `pg_basebackup ${SOCKET} -D /root/copy -X fetch -c fast`);

  row("what", "branch", "otherwise");
  row("---", "---", "---");
  row(
    `a cluster of ${(bytes / 1e9).toFixed(2)} GB, two writers: from the command to an answer, median (longest) of ${branches}`,
    `${median(seconds).toFixed(2)} s (${Math.max(...seconds).toFixed(2)} s), ${(median(seconds) / copy.seconds).toFixed(3)} ×`,
    `pg_basebackup: ${copy.seconds.toFixed(1)} s`,
  );
  row(
    "longest transaction meanwhile, median (longest)",
    `${median(during).toFixed(0)} ms (${Math.max(...during).toFixed(0)} ms)`,
    `as long a time before: ${median(before).toFixed(0)} ms (${Math.max(...before).toFixed(0)} ms)`,
  );
  await machine.powerOff();
} finally {
  for (const act of cleaning.reverse()) await act();
}
