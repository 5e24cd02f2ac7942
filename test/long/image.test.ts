/** The example `database`, forged in its folder by the command line and booted: packages, a service, users and files of its own. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { projectRoot } from "../forge/rig.ts";
import { boot, powerOff, scratch } from "../boot/monolith.ts";

test("the database appliance has its host name, users and files, and its server answers", async (t) => {
  const out = scratch(t);
  const anvil = [path.join(projectRoot, "bin/anvil"), "forge", "--root-login", "--plain", "--out", out];
  await promisify(execFile)(process.execPath, anvil, { cwd: path.join(projectRoot, "examples/database") });
  const machine = await boot(t, { cdrom: path.join(out, "anvilos-phase2.iso") });
  const run = async (command: string): Promise<string> => (await machine.console.succeed(command)).trim();
  assert.equal(await run("hostname"), "database");
  assert.equal(await run("sed -n 's/^VARIANT_ID=//p' /etc/os-release"), "database");
  assert.match(await run("cat /etc/postgres/postgresql.conf"), /^ssl = on$/m);
  assert.match(await run("cat /etc/ssh/authorized_keys"), /^ssh-ed25519 \S+$/);
  // it may not read root's folder
  const ask = "cd / && setuidgid postgres psql -h /run/postgres -U postgres -At -c";
  await run(`until ${ask} 'select 1'; do sleep 1; done`);
  assert.equal(await run(`${ask} "select current_setting('ssl') || ' ' || current_user"`), "on postgres");
  assert.equal(await run("stat -c '%U %a' /home/postgres /var/lib/postgres"), "postgres 700\npostgres 700");
  await powerOff(machine);
});
