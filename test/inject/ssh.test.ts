/** `--to ssh://…`: an `ssh` on PATH stands in for the user's own; what it is called with and how its end is told. */
import assert from "node:assert/strict";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { Client } from "../../src/inject/client.ts";
import { sshDestination } from "../../src/inject/transport.ts";
import { temporaryFolder } from "../forge/rig.ts";
import { GREETING } from "./peer.ts";

const never = new AbortController().signal;

/** Puts an `ssh` in front of PATH, a program for Node. It writes its arguments beside itself. */
function plantSsh(t: TestContext, program: string): string {
  const folder = temporaryFolder(t);
  const args = path.join(folder, "args");
  writeFileSync(
    path.join(folder, "ssh"),
    `#!${process.execPath}\nrequire("fs").writeFileSync(${JSON.stringify(args)}, JSON.stringify(process.argv.slice(2)));\n${program}\n`,
  );
  chmodSync(path.join(folder, "ssh"), 0o755);
  const before = process.env["PATH"];
  process.env["PATH"] = folder;
  t.after(() => (process.env["PATH"] = before));
  return args;
}

test("the user's ssh starts the agent at the other end, and the protocol runs over it", async (t) => {
  const greeting = JSON.stringify(GREETING.toString("latin1"));
  const args = plantSsh(t, `process.stdin.once("data", () => process.stdout.write(${greeting}, "latin1"));`);
  const client = await Client.open(sshDestination("ssh://me@host.example:2222"), never);
  assert.equal(client.system.pool, "memory");
  client.close();
  assert.deepEqual(JSON.parse(readFileSync(args, "utf8")), [
    ...["-T", "-e", "none", "-p", "2222", "--", "me@host.example"],
    "anvil-ingot serve --stdio",
  ]);
});

test("when ssh fails, what it said is shown", async (t) => {
  plantSsh(t, `process.stderr.write("host.example: no route\\n"); process.exitCode = 255;`);
  await assert.rejects(Client.open(sshDestination("ssh://host.example"), never), {
    code: "E_SSH",
    message: "ssh to host.example has ended (status 255)",
    details: ["host.example: no route"],
  });
});

test("without ssh on PATH that is said", async (t) => {
  plantSsh(t, "");
  process.env["PATH"] = "";
  await assert.rejects(Client.open(sshDestination("ssh://host"), never), { code: "E_SSH", message: /ENOENT/ });
});

test("an address of another form is wrong usage, and none becomes an option of ssh", () => {
  for (const address of [
    "host",
    "http://host",
    "ssh://",
    "ssh://-oProxyCommand=x",
    "ssh://-l@host",
    "ssh://a b",
    "ssh://h:x",
  ])
    assert.throws(() => sshDestination(address), { code: "E_USAGE" }, address);
});
