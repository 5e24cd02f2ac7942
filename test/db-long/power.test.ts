/**
 * Power cuts: QEMU is killed at random moments under load, every fifth time while a branch is made, and every fifth while
 * another version of the ingot is sent. What a client was told is committed must be there afterwards, with
 * full_page_writes as it ships. The ledger of what was told is what clients in the Monolith wrote to the serial port.
 */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { existsSync, readFileSync, watch } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../boot/monolith.ts";
import { Monolith } from "../db/monolith.ts";
import { otherVersion } from "../db/other-version.ts";

const ROUNDS = Number(process.env["ANVIL_POWER_CUTS"] ?? 50);
const WRITERS = 2;

/** psql says the row of an insertion when it is committed, and no sooner. */
const writer = (round: number, number: number): string => `\
(i=0; while :; do i=$((i + 1)); echo "insert into ledger values (${round}, ${number}, $i) returning 'ACK ${round} ${number} ' || i;"; done |
  anvil-db psql main -X -q -A -t >/dev/ttyS0 2>/dev/null) </dev/null >/dev/null 2>&1 &`;

/** The last number that each writer was told, of those that came through whole. */
function told(log: string, round: number): number[] {
  const last = Array.from({ length: WRITERS }, () => 0);
  for (const [, of, number, i] of readFileSync(log, "latin1").matchAll(/^ACK (\d+) (\d+) (\d+)\r?$/gm))
    if (Number(of) === round) last[Number(number)] = Math.max(last[Number(number)] ?? 0, Number(i));
  return last;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What goes on at the cut beside the load. */
type Meanwhile = "nothing" | "branch" | "upgrade";
const meanwhileIn = (round: number): Meanwhile => (["upgrade", "nothing", "branch"] as const)[round % 5] ?? "nothing";

/** Every cluster that is listed answers, nothing is on trial, and one version is active. Destroys what was branched. */
async function settled(machine: Monolith): Promise<void> {
  const clusters = JSON.parse(await machine.succeed("db", "list", "--json")) as { cluster: string }[];
  for (const { cluster } of clusters) {
    await machine.sql(cluster, "select count(*) from ledger");
    if (cluster !== "main") await machine.succeed("db", "destroy", cluster);
  }
  assert.equal(await machine.inside("zfs get -H -o value anvil:trial $(zfs list -H -o name /ingots/db/data)"), "-");
  const ingots = await machine.succeed("ingot", "list");
  assert.equal(ingots.match(/^db .* active/gm)?.length, 1, ingots);
}

function until(log: string, holds: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const watcher = watch(log, () => {
      if (!holds()) return;
      watcher.close();
      resolve();
    });
  });
}

test(`of what was acknowledged nothing is lost in ${ROUNDS} power cuts`, async (t) => {
  const folder = scratch(t);
  const [disk, log] = [path.join(folder, "disk.img"), path.join(folder, "serial.log")];
  const name = `test-power-${process.pid}`;
  const live = await Monolith.boot(t, name, ["--disk", disk]);
  await live.inside("anvil-install --yes /dev/vda");
  await live.powerOff();

  let machine = await Monolith.boot(t, name, ["--disk", disk, "--log", log]);
  await machine.succeed("inject", "db", "--plain");
  await machine.sql("main", "create extension amcheck; create table ledger (round int, writer int, i int)");
  await machine.sql("main", "create index on ledger (round, writer, i)");
  await machine.inside("pgbench -q -i -s 1 -U postgres -h /run/anvil-db/main postgres");
  const versions = [
    await otherVersion(folder, "15.97", { "usr/share/postgresql/other": "97\n" }),
    await otherVersion(folder, "15.98", { "usr/share/postgresql/other": "98\n" }),
  ];
  let acknowledged = 0;
  for (let round = 1; round <= ROUNDS; round++) {
    const load = "pgbench -c 2 -T 100000 -U postgres -h /run/anvil-db/main postgres </dev/null >/dev/null 2>&1 &";
    const writers = Array.from({ length: WRITERS }, (_, number) => writer(round, number));
    await machine.inside([load, ...writers].join("\n"));
    const enough = randomInt(5, 300);
    await until(log, () => told(log, round).reduce((sum, i) => sum + i, 0) >= enough);
    const meanwhile = meanwhileIn(round);
    if (meanwhile === "branch") {
      await machine.inside(`anvil-db branch main b-${round} </dev/null >/dev/null 2>&1 &`);
      await sleep(randomInt(0, 8000));
    } else if (meanwhile === "upgrade") {
      const file = versions[Math.floor(round / 5) % 2] ?? "";
      void machine.run(["inject", "--file", file, "--allow-downgrade", "--plain"]);
      await sleep(randomInt(1000, 25_000));
    }
    await machine.kill();
    const last = told(log, round);
    acknowledged += last.reduce((sum, i) => sum + i, 0);

    assert.ok(existsSync(disk));
    machine = await Monolith.boot(t, name, ["--disk", disk, "--log", log]);
    await machine.inside("until [ -e /run/anvil-db/prepared ]; do sleep 1; done");
    for (const [number, i] of last.entries()) {
      const there = `select count(distinct i) from ledger where round = ${round} and writer = ${number} and i <= ${i}`;
      assert.equal(Number(await machine.sql("main", there)), i, `round ${round}, writer ${number}`);
    }
    await settled(machine);
    const beside = meanwhile === "nothing" ? "" : ` (${meanwhile})`;
    t.diagnostic(`round ${round}${beside}: ${last.join(" + ")} acknowledged, all there`);
  }
  await machine.sql(
    "main",
    "select bt_index_check(indexrelid, true) from pg_index join pg_class c on c.oid = indexrelid where relam = 403",
  );
  await machine
    .sql("main", "select verify_heapam(oid) from pg_class where relkind in ('r', 'm', 't')")
    .then((found) => {
      assert.equal(found, "");
    });
  const scrub = await machine.inside(
    ". /run/anvil/boot.env; zpool scrub $ANVIL_POOL; zpool wait -t scrub $ANVIL_POOL; zpool status $ANVIL_POOL",
  );
  assert.match(scrub, /scrub repaired 0B .* with 0 errors/);
  t.diagnostic(`${acknowledged} transactions were acknowledged`);
  await machine.powerOff();
});
