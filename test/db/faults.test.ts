/** What can happen to the data of a cluster, on an installed system: no space, a damaged log, another's version. */
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../boot/monolith.ts";
import { majorVersion, Monolith } from "./monolith.ts";

const POOL = ". /run/anvil/boot.env";
const MAIN = "/ingots/db/data/main";
const HURT = "/ingots/db/data/hurt";

test("what happens to one cluster is said, loses nothing, and leaves the others alone", async (t) => {
  const disk = path.join(scratch(t), "disk.img");
  const name = `test-faults-${process.pid}`;
  const live = await Monolith.boot(t, name, ["--disk", disk, "--disk-size", "4"]);
  await live.inside("anvil-install --yes /dev/vda");
  await live.powerOff();
  const machine = await Monolith.boot(t, name, ["--disk", disk]);
  await machine.succeed("inject", "db", "--plain");
  await machine.sql("main", "create table t as select 1 as n");
  await machine.succeed("db", "branch", "main", "hurt");
  await machine.succeed("db", "snapshot", "hurt@well");
  const state = async (cluster: string): Promise<string | undefined> =>
    new RegExp(`^${cluster} +(\\S+)`, "m").exec(await machine.succeed("db", "list"))?.[1];
  const reaches = async (cluster: string, wanted: string): Promise<void> => {
    for (let attempt = 0; (await state(cluster)) !== wanted; attempt++)
      assert.ok(attempt < 60, `${cluster} is ${await state(cluster)}, not ${wanted}`);
  };
  const fails = async (cluster: string, command: string): Promise<string> => {
    const { status, stdout, stderr } = await machine.run(
      ["db", "psql", cluster, "--", "-X", "-v", "ON_ERROR_STOP=1"],
      command,
    );
    assert.notEqual(status, 0, command);
    return stderr + stdout;
  };
  const count = (cluster: string): Promise<string> => machine.sql(cluster, "select count(*) from t");

  await t.test("a second server on the same data is refused", async () => {
    const service = "/run/anvil-db/.service/main";
    assert.match(await machine.inside(`cd ${service}; ./run || true`), /E_DB_RUNNING {2}.*main/);
    // without the service, as by hand
    const folder = "$(dirname $(dirname $(readlink -f /ingots/bin/anvil-db)))/libexec/db";
    const byHand = `${folder}/confine run main 70 $(readlink -f /ingots/db/active) postgres -D ${MAIN}/pgdata -c port=5999`;
    assert.match(await machine.inside(`${byHand} 2>&1 || true`), /E_DB_RUNNING {2}.*main/);
    assert.equal(await count("main"), "1");
  });

  await t.test("data of another major version are refused, and not touched", async () => {
    const major = await majorVersion();
    await machine.inside(`echo 14 > ${HURT}/pgdata/PG_VERSION; sv -w 120 restart db`);
    await reaches("hurt", "refused");
    await reaches("main", "running");
    const refusal = await fails("hurt", "select 1");
    assert.ok(refusal.startsWith(`E_DB_MAJOR  hurt is of PostgreSQL 14, this is ${major}\n  hint: `), refusal);
    await machine.inside(`echo ${major} > ${HURT}/pgdata/PG_VERSION; sv -w 120 restart db`);
    await reaches("hurt", "running");
    assert.equal(await count("hurt"), "1");
  });

  await t.test("a damaged log: the server says so, a rollback mends it, the others go on", async () => {
    await machine.sql("hurt", "insert into t select generate_series(2, 1000)");
    const damage = [
      "pid=$(cat /run/anvil-db/.service/hurt/supervise/pid)",
      "sv once /run/anvil-db/.service/hurt",
      // with it all processes of the server end
      "kill -KILL $pid",
      "sv -w 60 down /run/anvil-db/.service/hurt",
      "flock /run/anvil-db/.lock/hurt true",
      `for log in ${HURT}/wal/pg_wal/0*; do`,
      "dd if=/dev/urandom of=$log bs=1M count=16 conv=notrunc",
      "done",
      "sv up /run/anvil-db/.service/hurt",
    ];
    await machine.inside(damage.join("\n"));
    await reaches("hurt", "failing");
    assert.match(await fails("hurt", "select 1"), /^E_DB_DOWN {2}.*could not locate a valid checkpoint.*\n {2}hint: /s);
    assert.match(await machine.succeed("db", "log", "hurt"), /could not locate a valid checkpoint/);
    assert.equal(await count("main"), "1");
    await machine.succeed("db", "rollback", "hurt@well");
    assert.equal(await count("hurt"), "1");
  });

  await t.test("a full pool: clusters can be read, and written again when there is space", async () => {
    const pool = await machine.inside(`${POOL}; echo $ANVIL_POOL`);
    await machine.sql("main", "create table filler (bytes text)");
    await machine.sql("main", "alter table filler alter bytes set storage plain");
    // what another dataset takes
    const free = Number(await machine.inside(`zfs get -H -p -o value available ${pool}`));
    await machine.inside(`zfs create -o refreservation=${free - (256 << 20)} ${pool}/other`);
    const line = "(select string_agg(md5(random()::text || i), '') from generate_series(1, 200) i)";
    const some = `insert into filler select ${line} || n from generate_series(1, 4000) n`;
    let written = 0;
    let said = "";
    for (; said === "" && written < 100; written++) {
      const { status, stderr } = await machine.run(["db", "psql", "main", "--", "-X", "-v", "ON_ERROR_STOP=1"], some);
      if (status !== 0) said = stderr;
    }
    assert.match(said, /read-only transaction|No space left on device/);
    await reaches("main", "read-only");
    assert.equal(await count("main"), "1");
    assert.equal(await machine.sql("main", "select count(*) from filler"), String((written - 1) * 4000));
    assert.match(await fails("main", "insert into t values (2)"), /cannot execute INSERT in a read-only transaction/);
    await machine.refused("E_DB_SPACE", "db", "branch", "main", "more");
    await machine.refused("E_INGOT_SPACE", "inject", "cc", "--plain");
    // it starts, too
    await machine.succeed("db", "restart", "main");
    assert.equal(await count("main"), "1");

    await machine.inside(`zfs destroy ${pool}/other`);
    await reaches("main", "running");
    await machine.sql("main", "insert into t values (2); drop table filler");
    assert.equal(await count("main"), "2");
    await machine.succeed("db", "branch", "main", "more");
  });
  await machine.powerOff();
});
