/** A database as a user has it: sent, asked, branched, rolled back, on an installed system also after a power cut. */
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../boot/monolith.ts";
import { Monolith } from "./monolith.ts";

interface Listed {
  readonly cluster: string;
  readonly state: string;
  readonly port: number;
  readonly origin: string | null;
  readonly snapshots: readonly { readonly name: string }[];
}

async function list(machine: Monolith): Promise<Listed[]> {
  return JSON.parse(await machine.succeed("db", "list", "--json")) as Listed[];
}

test("a database is sent, branched, rolled back, and is there after a power cut", async (t) => {
  const name = `test-db-${process.pid}`;
  const disk = path.join(scratch(t), "disk.img");
  const live = await Monolith.boot(t, name, ["--disk", disk, "--disk-size", "8"]);
  await live.refused("E_DB_ABSENT", "db", "list");
  await live.inside("anvil-install --yes /dev/vda");
  await live.powerOff();

  const first = await Monolith.boot(t, name, ["--disk", disk]);
  await first.succeed("inject", "db", "--plain");

  await t.test("it answers, with the extensions that are linked in", async () => {
    assert.match(await first.sql("main", "select version()"), /^PostgreSQL /);
    await first.sql("main", "create extension vector; create extension pg_trgm; create table t as select 1 as n");
    assert.equal(await first.sql("main", "select '[1,2]'::vector <-> '[1,4]'::vector"), "2");
    assert.equal(await first.sql("main", "show full_page_writes"), "off");
  });

  await t.test("at a terminal psql completes names, knows what was typed, and minds Ctrl-C", async () => {
    const psql = await first.terminal("anvil-db psql main");
    const prompt = "postgres=# ";
    await psql.await(prompt);
    psql.type("create table orders_of_today (n int);\r");
    await psql.await("CREATE TABLE");
    await psql.await(prompt);
    psql.type("sel\tcount(*) + 1000 from orders_of\t;\r");
    await psql.await("1000");
    await psql.await(prompt);
    psql.type("select 'dropped'\x03");
    await psql.await(prompt);
    psql.type("do $$ begin raise notice 'asleep %', 6 * 7; perform pg_sleep(600); end $$;\r");
    await psql.await("asleep 42");
    psql.type("\x03");
    await psql.await("canceling statement due to user request");
    await psql.await(prompt);
    psql.type("\\q\r");
    assert.equal(await psql.ended, 0);
    const again = await first.terminal("anvil-db psql main");
    await again.await(prompt);
    again.type("\x1b[A\x1b[A\x1b[A\r");
    await again.await("1000");
    await again.await(prompt);
    again.type("drop table orders_of_today;\r");
    await again.await("DROP TABLE");
    again.type("\\q\r");
    assert.equal(await again.ended, 0);
  });

  await t.test("its server is nobody, and can write nothing but its own data", async () => {
    const process = `/proc/${await first.server("main")}`;
    const status = await first.inside(`cat ${process}/status`);
    assert.match(status, /^Uid:\s+70\s+70\s+70\s+70$/m);
    assert.match(status, /^CapEff:\s+0+$/m);
    assert.match(status, /^CapBnd:\s+0+$/m);
    assert.match(status, /^NoNewPrivs:\s+1$/m);
    assert.match(status, /^Seccomp:\s+2$/m);
    const mounts = (await first.inside(`cat ${process}/mounts`)).split("\n").filter((line) => / zfs rw/.test(line));
    assert.deepEqual(mounts.map((line) => line.split(" ")[1]).sort(), [
      "/ingots/db/data/main",
      "/ingots/db/data/main/wal",
    ]);
    assert.doesNotMatch(await first.inside("netstat -ltn"), /:5432/);
  });

  await t.test("a branch is a cluster of its own", async () => {
    await first.succeed("db", "snapshot", "main@one");
    assert.match(await first.succeed("db", "branch", "main", "try-1"), /^try-1 port 5433 socket /);
    await first.sql("try-1", "insert into t values (2), (3)");
    await first.sql("main", "insert into t values (4)");
    assert.equal(await first.sql("try-1", "select string_agg(n::text, ',' order by n) from t"), "1,2,3");
    assert.equal(await first.sql("main", "select string_agg(n::text, ',' order by n) from t"), "1,4");
    const clusters = await list(first);
    assert.deepEqual(
      clusters.map(({ cluster, state, port, origin }) => [cluster, state, port, origin]),
      [
        ["main", "running", 5432, null],
        ["try-1", "running", 5433, "main@branch-try-1"],
      ],
    );
    assert.deepEqual(
      clusters[0]?.snapshots.map(({ name }) => name),
      ["main@one"],
    );
  });

  await t.test("a branch of a cluster that has logged much has little of it to replay", async () => {
    await first.sql("main", "create table big as select repeat(md5(g::text), 30) from generate_series(1, 30000) g");
    await first.succeed("db", "branch", "main", "try-2");
    assert.equal(await first.sql("try-2", "select count(*) from big"), "30000");
    const log = await first.succeed("db", "log", "try-2");
    const [from = Number.NaN, to = Number.NaN] = ["starts", "done"].map((what) => {
      const [, high = "", low = ""] = new RegExp(`redo ${what} at (\\w+)/(\\w+)`).exec(log) ?? [];
      return parseInt(high, 16) * 2 ** 32 + parseInt(low, 16);
    });
    assert.ok(to - from < 2 ** 24, log);
    await first.succeed("db", "destroy", "try-2");
  });

  await t.test("what cannot be is refused, and changes nothing", async () => {
    await first.refused("E_DB_EXISTS", "db", "branch", "main", "try-1");
    await first.refused("E_DB_EXISTS", "db", "snapshot", "main@one");
    await first.refused("E_DB_NAME", "db", "branch", "main", "Not a name");
    await first.refused("E_DB_NAME", "db", "destroy", "main");
    await first.refused("E_DB_UNKNOWN", "db", "branch", "nothing", "other");
    await first.refused("E_DB_UNKNOWN", "db", "rollback", "main@nothing");
    await first.refused("E_DB_BRANCHES", "db", "rollback", "main@one");
    await first.refused("E_DB_LISTEN", "db", "set", "main", "listen", "no address");
    await first.refused("E_DB_LISTEN", "db", "set", "main", "listen", "somewhere");
    // an address, but none of this machine (RFC 5737): the server would not start with it
    await first.refused("E_DB_LISTEN", "db", "set", "main", "listen", "192.0.2.1");
    assert.equal(await first.sql("main", "select 1"), "1");
    await first.refused("E_USAGE", "db", "dance");
    assert.equal((await list(first)).length, 2);
  });

  await t.test("after a power cut all of them are there", async () => {
    await first.sql("main", "insert into t values (5)");
    await first.kill();
  });
  const second = await Monolith.boot(t, name, ["--disk", disk]);
  await second.inside("until [ -e /run/anvil-db/prepared ]; do sleep 1; done");
  assert.equal(await second.sql("main", "select string_agg(n::text, ',' order by n) from t"), "1,4,5");
  assert.equal(await second.sql("try-1", "select count(*) from t"), "3");

  await t.test("what is destroyed is gone, and a rollback goes back", async () => {
    await second.succeed("db", "destroy", "try-1");
    await second.succeed("db", "snapshot", "main@two");
    await second.refused("E_DB_LATER", "db", "rollback", "main@one");
    await second.succeed("db", "rollback", "main@one", "--discard-later");
    assert.equal(await second.sql("main", "select string_agg(n::text, ',' order by n) from t"), "1");
    await second.succeed("db", "destroy", "main@one");
    const [main, ...others] = await list(second);
    assert.deepEqual([main?.snapshots, others], [[], []]);
  });

  await t.test("with its data it can be removed", async () => {
    await second.refused("E_INGOT_DATA", "ingot", "remove", "db");
    await second.succeed("ingot", "remove", "db", "--data");
    assert.equal(await second.inside("ls /ingots; pidof postgres || true"), "bin");
  });
  await second.powerOff();
});
