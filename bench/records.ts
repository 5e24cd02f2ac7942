/**
 * The record size of a cluster's data, on an installed Monolith: for each size a database of the same content in the same
 * cluster. What a transaction writes to the disk and reads from it, what the database takes there, and how fast it is,
 * relative to the size that ships, in turn (ABBA). Prints a markdown table; run with `node dist/bench/records.mjs` after
 * `anvil forge iso ingot-db`. Bytes do not depend on the machine; in an emulated one speed is that of the processor above all.
 */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import { parseArgs } from "node:util";
import { Monolith } from "../test/db/monolith.ts";

const { values } = parseArgs({
  options: { scale: { type: "string", default: "20" }, transactions: { type: "string", default: "4000" } },
});
const transactions = Number(values.transactions);
const SIZES = [8, 16, 32, 128];
const SHIPPED = 16;
const CLIENTS = 2;
const SOCKET = "-U postgres -h /run/anvil-db/main";

const cleaning: (() => unknown)[] = [];
const t = { after: (act: () => unknown): void => void cleaning.push(act) } as unknown as TestContext;

interface Run {
  readonly perSecond: number;
  /** Per transaction. */
  readonly bytes: number;
}

interface Measured {
  /** Of what the database would take without compression. */
  readonly space: number;
  readonly writing: Run[];
  readonly reading: Run[];
}

const mean = (numbers: readonly number[]): number => numbers.reduce((sum, each) => sum + each, 0) / numbers.length;

const settled = `anvil-db psql main -X -q -c checkpoint && zpool sync`;

/** pgbench, and the bytes that the disk has read or written meanwhile (Documentation/block/stat.rst, units of 512). */
async function run(machine: Monolith, database: string, kind: "reading" | "writing"): Promise<Run> {
  const field = kind === "reading" ? 3 : 7;
  const count = `set -- $(cat /sys/block/vda/stat)`;
  const said = await machine.inside(`
${settled}; ${count}; before=$${field}
pgbench -n ${kind === "reading" ? "-S" : "-N"} -M prepared -c ${CLIENTS} -t ${transactions / CLIENTS} ${SOCKET} ${database} >/tmp/said 2>&1 || cat /tmp/said
${kind === "reading" ? "" : settled}
${count}; sed -n 's/^tps = //p' /tmp/said; echo $(($${field} - before))`);
  const [tps, sectors] = said.split("\n").slice(-2).map(Number.parseFloat);
  return { perSecond: tps ?? Number.NaN, bytes: ((sectors ?? Number.NaN) * 512) / transactions };
}

function row(...cells: readonly string[]): void {
  process.stdout.write(`| ${cells.join(" | ")} |\n`);
}

try {
  const folder = mkdtempSync(path.join(os.tmpdir(), "anvil-bench-"));
  cleaning.push(() => rmSync(folder, { recursive: true, force: true }));
  const name = `bench-records-${process.pid}`;
  const disk = path.join(folder, "disk.img");
  const live = await Monolith.boot(t, name, ["--disk", disk, "--disk-size", "16"]);
  await live.inside("anvil-install --yes /dev/vda");
  await live.powerOff();
  const machine = await Monolith.boot(t, name, ["--disk", disk]);
  await machine.succeed("inject", "db", "--plain");
  // what a server caches itself must not hide what it reads
  await machine.sql("main", "alter system set shared_buffers = '16MB'");
  await machine.succeed("db", "restart", "main");
  const set = await machine.inside("zfs list -H -o name /ingots/db/data/main");

  const measured = new Map<number, Measured>();
  for (const size of SIZES) {
    const fill = `pgbench -q -i -I dtGvp -s ${values.scale} ${SOCKET} r${size} >/tmp/said 2>&1`;
    const folderOf = `/ingots/db/data/main/pgdata/base/$(anvil-db psql main -X -q -A -t -c "select oid from pg_database where datname = 'r${size}'")`;
    const said = await machine.inside(
      `zfs set recordsize=${size}K ${set} && createdb ${SOCKET} -T template0 r${size} && ${fill} && ${settled} && ` +
        `du -s -k ${folderOf} | cut -f 1; anvil-db psql main -X -q -A -t -c "select pg_database_size('r${size}')"`,
    );
    const [kilobytes = Number.NaN, bytes = Number.NaN] = said.split("\n").slice(-2).map(Number);
    measured.set(size, { space: (kilobytes * 1024) / bytes, writing: [], reading: [] });
  }

  for (const order of [SIZES, [...SIZES].reverse()])
    for (const size of order) {
      const each = measured.get(size);
      each?.writing.push(await run(machine, `r${size}`, "writing"));
      // so that reads are of the disk, not of the ARC
      await machine.inside(`zfs set primarycache=metadata ${set} && echo 3 >/proc/sys/vm/drop_caches`);
      each?.reading.push(await run(machine, `r${size}`, "reading"));
      await machine.inside(`zfs inherit primarycache ${set}`);
    }
  const shipped = measured.get(SHIPPED);
  if (shipped === undefined) throw new Error("the size that ships is not among those measured");

  row(
    "record size",
    "on the disk, of the database's size",
    "written per transaction",
    "read per query",
    "TPC-B-like",
    "queries",
  );
  row("---", "---", "---", "---", "---", "---");
  const speed = (of: readonly Run[]): number => mean(of.map(({ perSecond }) => perSecond));
  const kilobytes = (of: readonly Run[]): string => `${(mean(of.map(({ bytes }) => bytes)) / 1024).toFixed(1)} KiB`;
  for (const [size, each] of measured)
    row(
      `${size} KiB`,
      each.space.toFixed(2),
      kilobytes(each.writing),
      kilobytes(each.reading),
      (speed(each.writing) / speed(shipped.writing)).toFixed(2),
      (speed(each.reading) / speed(shipped.reading)).toFixed(2),
    );
  await machine.powerOff();
} finally {
  for (const act of cleaning.reverse()) await act();
}
