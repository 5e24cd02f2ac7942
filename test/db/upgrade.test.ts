/** Another version of the ingot on the same data: taken over when it is well, else back by itself, with all data. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { scratch } from "../boot/monolith.ts";
import { majorVersion, Monolith } from "./monolith.ts";
import { otherVersion } from "./other-version.ts";

const says = (version: string): string => `echo 'postgres (PostgreSQL) ${version}'`;
const broken = (version: string): string => `#!/bin/sh\n[ "$1" != --version ] || exec ${says(version)}\nexit 1\n`;

test("a version is taken over when it is well, and goes back with all data when it is not", async (t) => {
  const folder = scratch(t);
  const major = await majorVersion();
  const machine = await Monolith.boot(t, `test-upgrade-${process.pid}`);
  const values = async (): Promise<string> =>
    machine.sql("main", "select string_agg(n::text, ',' order by n) from t").catch(String);
  const active = async (): Promise<string | undefined> =>
    /^db (\S+) +\S+ +active/m.exec(await machine.succeed("ingot", "list"))?.[1];

  await machine.succeed("inject", "db", "--plain");
  const first = await active();
  await machine.sql("main", "create table t as select 1 as n");
  await machine.succeed("db", "branch", "main", "try-1");

  await t.test("one that is well", async () => {
    const file = await otherVersion(folder, `${major}.97`, { "usr/share/postgresql/changed": "yes\n" });
    await machine.succeed("inject", "--file", file, "--plain");
    assert.equal(await active(), `${major}.97`);
    assert.equal(await values(), "1");
    await machine.sql("main", "insert into t values (2)");
    await machine.sql("try-1", "insert into t values (3)");
    assert.match(await machine.succeed("db", "list"), /main@before-\d{8}-\d{6}/);
  });

  await t.test(
    "one whose server does not start: the old one is back, and so is what was written meanwhile",
    async () => {
      const file = await otherVersion(folder, `${major}.99`, { "usr/bin/postgres": broken(`${major}.99`) });
      await machine.refused("E_INGOT_HEALTH", "inject", "--file", file, "--plain");
      assert.equal(await active(), `${major}.97`);
      assert.equal(await values(), "1,2");
      assert.equal(await machine.sql("try-1", "select count(*) from t"), "2");
      await machine.sql("main", "insert into t values (4)");
    },
  );

  await t.test("one of another major version: data are not touched", async () => {
    const file = await otherVersion(folder, `${major + 1}.0`, {
      "usr/bin/postgres": `#!/bin/sh\n${says(`${major + 1}.0`)}\n`,
    });
    await machine.refused("E_INGOT_MAJOR", "inject", "--file", file, "--plain");
    const { status, stderr } = await machine.run(["inject", "--file", file, "--other-major", "--plain"]);
    assert.equal(status, 1);
    assert.match(stderr, /^E_INGOT_HEALTH {2}/);
    assert.ok(stderr.includes(`E_DB_MAJOR  main is of PostgreSQL ${major}, this is ${major + 1}`), stderr);
    assert.equal(await active(), `${major}.97`);
    assert.equal(await values(), "1,2,4");
  });

  await t.test("the version before is an upgrade too, and data stay", async () => {
    await machine.succeed("ingot", "rollback", "db");
    assert.equal(await active(), first);
    assert.equal(await values(), "1,2,4");
  });
  await machine.powerOff();
});
