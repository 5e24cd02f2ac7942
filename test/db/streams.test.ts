/** psql without a terminal: its standard streams are those of `anvil db`, of any size, unchanged. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import path from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { Monolith } from "./monolith.ts";
import { project } from "../this-project.ts";

const PSQL = ["db", "psql", "main"];
const SETTINGS = ["-X", "-q", "-v", "ON_ERROR_STOP=1"];

test("psql's streams carry 64 MB in and out, errors apart, with its signals and status", async (t) => {
  const machine = await Monolith.boot(t, `test-streams-${process.pid}`);
  await machine.succeed("inject", "db", "--plain");
  const psql = (...args: readonly string[]) =>
    spawn(process.execPath, [
      path.join(project.root, "bin/anvil"),
      ...[...PSQL, "--machine", machine.name, "--", ...SETTINGS, ...args],
    ]);
  await machine.sql("main", "create table lines (line text)");

  await t.test("what goes in by COPY comes out by COPY, byte for byte", async () => {
    const [sent, came] = [createHash("sha256"), createHash("sha256")];
    const into = psql("-c", "copy lines from stdin");
    const complaints = text(into.stderr);
    const stored = new Promise((resolve) => into.on("close", resolve));
    let bytes = 0;
    while (bytes < 64 << 20) {
      // every byte that COPY's text form has in a line as it is, and letters of several bytes
      const line = Buffer.from(`\u00e9\u4e2d\u{1f600} ${randomBytes(48 << 10).toString("base64")}\n`);
      sent.update(line);
      bytes += line.length;
      if (!into.stdin.write(line)) await new Promise((resolve) => into.stdin.once("drain", resolve));
    }
    into.stdin.end();
    assert.equal(await stored, 0, await complaints);
    const out = psql("-c", "copy lines to stdout");
    out.stdin.end();
    out.stdout.on("data", (piece: Buffer) => came.update(piece));
    assert.equal(await new Promise((resolve) => out.on("close", resolve)), 0);
    assert.equal(came.digest("hex"), sent.digest("hex"));
  });

  await t.test("errors are apart from results, and the status is psql's", async () => {
    const { status, stdout, stderr } = await machine.run(
      [...PSQL, "--", ...SETTINGS, "-At"],
      "select 40 + 2; select nothing;",
    );
    assert.deepEqual([status, stdout], [3, "42\n"]);
    assert.match(stderr, /ERROR: {2}column "nothing" does not exist/);
  });

  await t.test("a psql that reads no input does not wait for its end", async () => {
    const child = psql("-At", "-c", "select 1");
    const ended = new Promise((resolve) => child.on("close", resolve));
    assert.equal(await text(child.stdout), "1\n");
    assert.equal(await ended, 0);
  });

  const sleepers = (): Promise<string> =>
    machine.sql("main", "select count(*) from pg_stat_activity where query like 'do $$ begin raise%'");
  // psql keeps results until its buffer is full, notices it does not
  const asleep = "do $$ begin raise notice 'asleep'; perform pg_sleep(3000); end $$";

  await t.test("Ctrl-C cancels the query", async () => {
    const child = psql("-c", asleep);
    let complaints = "";
    child.stderr.on("data", (bytes: Buffer) => (complaints += bytes.toString()));
    child.stderr.once("data", () => child.kill("SIGINT"));
    assert.notEqual(await new Promise((resolve) => child.on("close", resolve)), 0);
    assert.match(complaints, /canceling statement due to user request/);
    assert.equal(await sleepers(), "0");
  });

  await t.test("a branch can be made while a session goes on", async () => {
    const child = psql("-c", asleep);
    const ended = new Promise((resolve) => child.on("close", resolve));
    await new Promise((resolve) => child.stderr.once("data", resolve));
    await machine.succeed("db", "branch", "main", "meanwhile");
    await machine.succeed("db", "destroy", "meanwhile");
    child.kill("SIGINT");
    await ended;
  });

  await t.test("when the host is killed in the middle of COPY nothing of it is committed", async () => {
    await machine.sql("main", "create table half (line text)");
    const child = psql("-c", "copy half from stdin");
    const gone = new Promise((resolve) => child.on("close", resolve));
    for (let count = 0; count < 64; count++)
      if (!child.stdin.write(`${"x".repeat(1 << 16)}\n`))
        await new Promise((resolve) => child.stdin.once("drain", resolve));
    child.kill("SIGKILL");
    await gone;
    // the next one comes at once, and ends what is left of it
    assert.equal(await machine.sql("main", "select count(*) from half"), "0");
    assert.equal(await machine.sql("main", "select count(*) from pg_stat_activity where query like 'copy half%'"), "0");
  });
  await machine.powerOff();
});
