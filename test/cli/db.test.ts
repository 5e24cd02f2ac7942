/** `anvil db --to ssh://…`: an `ssh` on PATH stands in for the user's own. */
import assert from "node:assert/strict";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { anvil, temporaryFolder, type Ended } from "./command-line.ts";

const to = ["--to", "ssh://root@host.example:2222"];

/** Calls `anvil db`; `program` is the text of the `ssh` that it finds. */
async function db(
  t: TestContext,
  program: string,
  act: readonly string[],
  input = "",
): Promise<Ended & { args: string[] }> {
  const folder = temporaryFolder(t);
  const args = path.join(folder, "args");
  writeFileSync(
    path.join(folder, "ssh"),
    `#!${process.execPath}
require("fs").writeFileSync(${JSON.stringify(args)}, JSON.stringify(process.argv.slice(2)));
const say = (out, complaint, status) => {
  process.stdout.write(out);
  process.stderr.write(complaint);
  process.exitCode = status;
};
${program}
`,
  );
  chmodSync(path.join(folder, "ssh"), 0o755);
  const ended = await anvil(["db", ...act, ...to], { cache: folder, env: { PATH: folder }, input });
  return { ...ended, args: JSON.parse(readFileSync(args, "utf8")) as string[] };
}

test("over ssh a list is what it is over the console", async (t) => {
  const said = "cluster main running 5432 1048576 -\\nsnapshot main@one 512\\n";
  const listed = await db(t, `say("${said}", "a warning\\n", 0);`, ["list", "--json"]);
  assert.equal(listed.status, 0);
  assert.equal(listed.stderr, "a warning\n");
  const snapshots = [{ name: "main@one", bytes: 512 }];
  assert.deepEqual(JSON.parse(listed.stdout), [
    { cluster: "main", state: "running", port: 5432, bytes: 1048576, origin: null, snapshots },
  ]);
  assert.deepEqual(listed.args, ["-T", "-p", "2222", "--", "root@host.example", ". /etc/profile; anvil-db list"]);
  assert.match((await db(t, `say("${said}", "", 0);`, ["list"])).stdout, /^main +running +port 5432 /);
});

test("what the Monolith says does not steer the terminal", async (t) => {
  const evil = "\\x1b]0;title\\x07\\x1b[2Jma\\u202ein";
  const said = `cluster ${evil} running 5432 1048576 ${evil}\\nsnapshot ${evil}@one 512\\n`;
  for (const args of [["list"], ["list", "--json"]]) {
    const { status, stdout, stderr } = await db(t, `say("${said}", "${evil}\\n", 0);`, args);
    assert.equal(status, 0);
    assert.match(stdout, /ma.*in/);
    assert.doesNotMatch(stdout + stderr, /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]/);
  }
  const refused = await db(t, `say("", "E_DB_EXISTS  ${evil}\\n  ${evil}\\n  hint: ${evil}\\n", 1);`, [
    "branch",
    "a",
    "b",
  ]);
  assert.equal(refused.stderr, "E_DB_EXISTS  main\n  main\n  hint: main\n");
  // a program gets what the server wrote, as it is
  const log = await db(t, `say("\\x1b[31mred\\n", "", 0);`, ["log", "main"]);
  assert.equal(log.stdout, "\x1b[31mred\n");
});

test("over ssh refusals have their code and hint, and so has what ssh itself says", async (t) => {
  const refusal = "E_DB_EXISTS  there is a cluster b already\\n  hint: take another name\\n";
  const exists = await db(t, `say("", "${refusal}", 1);`, ["branch", "main", "b"]);
  assert.equal(exists.status, 1);
  assert.match(exists.stderr, /^E_DB_EXISTS {2}there is a cluster b already\n {2}hint: take another name\n/);
  const unreachable = await db(t, `say("", "host.example: no route\\n", 255);`, ["list"]);
  assert.match(
    unreachable.stderr,
    /^E_SSH {2}.*\n {2}host\.example: no route\n {2}hint: .ssh -p 2222 root@host\.example anvil-db list. must work/,
  );
  const absent = await db(t, `say("", "sh: anvil-db: not found\\n", 127);`, ["list"]);
  assert.match(absent.stderr, /^E_DB_ABSENT {2}/);
});

/** Plays `anvil-exec`: says what it is told to, and the input in upper case. */
const agent = (errors: string, end: string): string => `
const [, token] = /anvil-exec --stdio (\\w+) /.exec(process.argv.at(-1));
const send = (type, body) => {
  const head = Buffer.alloc(5);
  head.writeUInt32LE(body.length + 1);
  head.write(type, 4);
  process.stdout.write(Buffer.concat([head, Buffer.from(body)]));
};
process.stdout.write("what a shell there says first");
send("H", token);
send("W", Buffer.from([255, 255, 0, 0]));
send("E", ${JSON.stringify(errors)});
let all = Buffer.alloc(0);
process.stdin.on("data", (bytes) => {
  for (all = Buffer.concat([all, bytes]); all.length >= 5;) {
    const length = all.readUInt32LE(0);
    if (all.length < 4 + length) return;
    const [type, body] = [all.toString("latin1", 4, 5), all.subarray(5, 4 + length)];
    all = all.subarray(4 + length);
    if (type === "I") send("O", body.toString().toUpperCase());
    if (type === "Z") { ${end} }
    if (type === "Q") process.exit(0);
  }
});`;

test("over ssh psql has its own streams and status", async (t) => {
  const { status, stdout, stderr, args } = await db(
    t,
    agent("NOTICE", `send("X", "3");`),
    ["psql", "main"],
    "select 1",
  );
  assert.deepEqual([status, stdout, stderr], [3, "SELECT 1", "NOTICE"]);
  assert.match(args.at(-1) ?? "", /^\. \/etc\/profile; .*; exec anvil-exec --stdio \w+ '.*; exec anvil-db psql main'$/);
});

test("over ssh a line that breaks in the middle of psql is told, with what ssh said", async (t) => {
  const broken = `process.stderr.write("Connection reset\\n"); process.exitCode = 255; process.stdin.destroy();`;
  const { status, stderr } = await db(t, agent("", broken), ["psql"], "select 1");
  assert.equal(status, 1);
  assert.match(stderr, /^E_SSH {2}ssh to root@host\.example has ended \(status 255\)\n {2}Connection reset\n/);
});

test("a system whose key has changed is named with the way to forget the old one", async (t) => {
  const changed = `say("", "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\\n", 255);`;
  for (const act of [["list"], ["psql"]]) {
    const { stderr } = await db(t, changed, act);
    assert.match(stderr, /^E_SSH [^]* new key after every start; .*: ssh-keygen -R '\[host\.example\]:2222'$/m);
  }
});

test("over ssh psql on a system that is too old for it says so", async (t) => {
  assert.match((await db(t, `say("", "", 127);`, ["psql"])).stderr, /^E_EXEC_ABSENT {2}/);
});

test("over ssh psql on a system without a database says so", async (t) => {
  // what `anvil-exec` is told is carried out by a shell as it would be there
  const shell = `require("child_process").spawnSync(
    "/bin/sh", ["-c", /\\w+ '(.*)'$/.exec(process.argv.at(-1))[1]], { env: { PATH: "/nowhere" } }).status`;
  const { status, stdout, stderr } = await db(t, agent("", `send("X", String(${shell}));`), ["psql", "main"]);
  assert.deepEqual([status, stdout], [1, ""]);
  assert.match(stderr, /^E_DB_ABSENT {2}.*\n {2}hint: .anvil inject db/);
});
