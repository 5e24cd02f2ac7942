/** Commands that start or reach a machine, each called in this process. The machine is played. */
import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { frame } from "../../src/inject/frames.ts";
import { identify, type ProcessIdentity } from "../../src/host/process.ts";
import { writeState, type MachineState } from "../../src/vm/state.ts";
import { acknowledged, GREETING, progress, success, wanted } from "../inject/peer.ts";
import type { Ended } from "./command-line.ts";
import { World } from "./world.ts";

function refused({ status, stderr }: Ended, code: string, expected = 1): void {
  assert.match(stderr, new RegExp(`^${code} {2}`));
  assert.equal(status, expected);
}

async function listen(t: TestContext, socket: string, serve: (connection: Socket) => void): Promise<string> {
  const open = new Set<Socket>();
  const server = createServer((connection) => {
    open.add(connection);
    connection.on("error", () => undefined);
    serve(connection);
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  t.after(() => {
    for (const connection of open) connection.destroy();
    server.close();
  });
  return socket;
}

function runs(world: World, machine: Partial<MachineState>): Promise<void> {
  return writeState(world.project.store.paths.top, {
    name: "played",
    process: identify(process.pid) as ProcessIdentity,
    qmp: "/nowhere",
    console: undefined,
    ingot: undefined,
    serialLog: undefined,
    timeScale: 1,
    forwards: [],
    started: "2026-11-30T00:00:00Z",
    ...machine,
  });
}

/** The agent of a Monolith, which says `lines` to every command and takes every ingot. Returns the commands. */
async function agent(t: TestContext, world: World, lines: readonly string[] = []): Promise<string[]> {
  const commands: string[] = [];
  const answer = (type: string, body: string): Buffer[] => {
    if (type === "H") return [GREETING];
    if (type === "M") return [progress("receive"), wanted(0, 4)];
    if (type === "D") return [acknowledged(0), success("key abc\nwas none\n")];
    if (type !== "C" || body.startsWith("add")) return [];
    commands.push(body);
    return [...lines.map((line) => frame("L", line)), success("checked 1\n")];
  };
  const socket = await listen(t, world.path("ingot.sock"), (connection) => {
    let rest = Buffer.alloc(0);
    connection.on("data", (bytes) => {
      for (rest = Buffer.concat([rest, bytes]); rest.length >= 4 && rest.length >= 4 + rest.readUInt32LE();) {
        const whole = rest.subarray(4, 4 + rest.readUInt32LE());
        rest = rest.subarray(4 + whole.length);
        for (const each of answer(String.fromCharCode(whole[0] as number), whole.subarray(1).toString()))
          connection.write(each);
      }
    });
  });
  await runs(world, { ingot: socket });
  return commands;
}

test("ingot lists, verifies and rolls back in the machine that runs", async (t) => {
  const world = await World.make(t);
  refused(await world.anvil(["ingot", "list"]), "E_NO_MACHINE");
  const commands = await agent(t, world, ["number 4.2 0123456789ab active 1234"]);
  const listed = await world.anvil(["ingot", "list"]);
  assert.deepEqual([listed.status, listed.stderr], [0, ""]);
  assert.match(listed.stdout, /^number 4\.2 +0123456789ab {2}active {4}1\.23 kB\n/);
  const [row] = JSON.parse((await world.anvil(["ingot", "list", "--json"])).stdout) as object[];
  assert.deepEqual(row, {
    ...{ name: "number", version: "4.2", key: "0123456789ab", state: "active", bytes: 1234, received: null },
  });
  const verified = JSON.parse((await world.anvil(["ingot", "verify", "number", "--json"])).stdout) as object;
  assert.deepEqual(verified, { name: "number", lines: ["number 4.2 0123456789ab active 1234"], checked: "1" });
  assert.equal((await world.anvil(["ingot", "remove", "number", "--data"])).status, 0);
  assert.equal((await world.anvil(["ingot", "rollback", "number"])).status, 0);
  assert.deepEqual(commands, ["list", "list", "verify number", "remove number data", "rollback number"]);
  refused(await world.anvil(["ingot", "rollback", "a name"]), "E_USAGE", 2);
  refused(await world.anvil(["ingot", "list", "--to", "ssh://a", "--machine", "played"]), "E_USAGE", 2);
});

test("inject builds, signs and sends, or says first that no machine runs", async (t) => {
  const world = await World.make(t);
  refused(await world.anvil(["inject", "number"]), "E_NO_MACHINE");
  await agent(t, world);
  refused(await world.anvil(["inject", "number"]), "E_NO_KEY");
  await world.anvil(["key", "new"]);
  const { status, stdout, stderr } = await world.anvil(["inject", "number", "--json"]);
  assert.equal(status, 0, stderr);
  const last = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as { type: string; facts: object };
  assert.deepEqual([last.type, last.facts], ["injected", { key: "abc", was: "none" }]);
  refused(await world.anvil(["inject", "nothing"]), "E_NO_TARGET");
  refused(await world.anvil(["inject", "number", "--in", "cloud"]), "E_USAGE", 2);
  refused(await world.anvil(["inject", "number", "--in", "vm"]), "E_NOT_PORTABLE");
});

/** A shell on a machine's console, as src/vm/frame.ts speaks with one. */
async function shell(
  t: TestContext,
  world: World,
  answer: (command: string) => { status: number; output: string },
): Promise<string[]> {
  const commands: string[] = [];
  const console = await listen(t, world.path("console.sock"), (connection) => {
    let rest = "";
    let encoded = "";
    const take = (line: string): void => {
      const greeted = /^stty .* ([0-9a-f]{12}) ([0-9a-f]{12})$/.exec(line);
      if (greeted !== null) connection.write(`\n${greeted[1]}${greeted[2]}\n`);
      if (line === "_anvil_c=") encoded = "";
      encoded += /^_anvil_c=\$\{_anvil_c\}(.*)$/.exec(line)?.[1] ?? "";
      const asked = /^printf .*:.* ([0-9a-f]{12}) ([0-9a-f]{12}) "/.exec(line);
      if (asked === null) return;
      const command = Buffer.from(encoded, "base64").toString();
      commands.push(command);
      const { status, output } = answer(command);
      const body = Buffer.from(`${output}\n${status}`).toString("base64");
      connection.write(`\n${asked[1]}${asked[2]}:${body.length}:${body}:${asked[2]}${asked[1]}\n`);
    };
    connection.on("data", (bytes) => {
      const lines = (rest + bytes.toString()).split("\n");
      rest = lines.pop() ?? "";
      lines.forEach(take);
    });
  });
  await runs(world, { console });
  return commands;
}

test("db lists the clusters of the machine that runs, and passes a refusal on", async (t) => {
  const world = await World.make(t);
  const list = "cluster main running 5432 1048576 -\nsnapshot main@one 512\ncluster try stopped 5433 2048 main@one\n";
  const refusal = "E_DB_EXISTS  there is a cluster try already\n  hint: take another name\n";
  const commands = await shell(t, world, (command) => {
    if (command.endsWith("anvil-db list")) return { status: 0, output: list };
    if (command.endsWith("anvil-db branch main try")) return { status: 1, output: refusal };
    return { status: 0, output: command.endsWith("anvil-db log main") ? "a line\n" : "" };
  });
  const listed = await world.anvil(["db", "list"]);
  assert.deepEqual([listed.status, listed.stderr], [0, ""]);
  assert.match(
    listed.stdout,
    /^main +running +port 5432 {2}1\.05 MB\n {2}main@one +snapshot +512 B\ntry +stopped .* from main@one\n$/,
  );
  const rows = JSON.parse((await world.anvil(["db", "list", "--json"])).stdout) as {
    cluster: string;
    origin: string;
  }[];
  assert.deepEqual(
    rows.map(({ cluster, origin }) => [cluster, origin]),
    [
      ["main", null],
      ["try", "main@one"],
    ],
  );
  const exists = await world.anvil(["db", "branch", "main", "try"]);
  assert.deepEqual([exists.status, exists.stderr], [1, refusal]);
  assert.equal((await world.anvil(["db", "log", "main"])).stdout, "a line\n");
  assert.equal(commands[0], ". /etc/profile; command -v anvil-db");
});

test("db in a system without a database says what sends it there", async (t) => {
  const world = await World.make(t);
  await shell(t, world, () => ({ status: 127, output: "" }));
  const absent = await world.anvil(["db", "list"]);
  refused(absent, "E_DB_ABSENT");
  assert.match(absent.stderr, /anvil inject db/);
});

test("db says at once that a system was forged without root login, and how it is reached", async (t) => {
  const world = await World.make(t);
  refused(await world.anvil(["db", "list"]), "E_NO_MACHINE");
  // system/root/etc/anvil/console says this at every Enter; minutes would pass before a shell is given up
  const notice = "Logins on this console are off: the system was forged without root login.\r\n";
  const socket = await listen(t, world.path("console.sock"), (connection) => {
    connection.on("data", () => connection.write(notice));
  });
  const forwards = [{ guest: 22, host: 2222, address: "127.0.0.1" }];
  await runs(world, { console: socket, timeScale: 10_000, forwards });
  const closed = await world.anvil(["db", "list"]);
  refused(closed, "E_NO_SHELL");
  assert.match(closed.stderr, /without root login[^]*hint: .*--to ssh:\/\/root@127\.0\.0\.1:2222\n$/);
  refused(await world.anvil(["db", "psql"], "select 1"), "E_NO_MACHINE");
});

test("db wants an action with its names", async (t) => {
  const world = await World.make(t);
  const wrong = [
    ["db"],
    ["db", "drop"],
    ["db", "branch", "main"],
    ["db", "list", "--", "-c"],
    ["db", "list", "--discard-later"],
  ];
  for (const words of wrong) refused(await world.anvil(words), "E_USAGE", 2);
  const nothing = await world.anvil(["db", "drop"]);
  assert.match(nothing.stderr, /name what to do: psql, list, snapshot, branch, rollback, destroy, set, restart, log\n/);
});

test("boot refuses what is no ISO before QEMU is looked for", async (t) => {
  const world = await World.make(t);
  refused(await world.anvil(["boot", "--iso", world.write("README.md", "# A text\n")]), "E_NO_ISO");
  refused(await world.anvil(["boot", "--iso", world.write("long", "x".repeat(40_000))]), "E_NO_ISO");
  const iso = world.write("real.iso", `${"\0".repeat(32768)}\x01CD001\x01`);
  refused(await world.anvil(["boot", "--iso", iso]), "E_NO_INPUTS");
  for (const words of [
    ["--memory", "little"],
    ["--firmware", "bios"],
    ["--cpus", "0"],
    ["--disk-size", ""],
    ["--network", "lan"],
  ])
    refused(await world.anvil(["boot", "--iso", iso, ...words]), "E_USAGE", 2);
});

test("doctor has a line for each thing, and fails when one does", async (t) => {
  const world = await World.make(t, { ANVIL_DEBIAN_MIRROR: "http://127.0.0.1:1/debian" });
  const { status, stdout } = await world.anvil(["doctor", "--json"]);
  const { ok, checks } = JSON.parse(stdout) as {
    ok: boolean;
    checks: { name: string; level: string; found: string }[];
  };
  const level = (name: string): string | undefined => checks.find((each) => each.name === name)?.level;
  assert.equal(level("node"), "ok");
  assert.equal(level("store"), "ok");
  assert.equal(level("sandbox"), "ok");
  assert.equal(level("mirror"), "fail", "what is missing has to come from there");
  assert.deepEqual([ok, status], [false, 1]);
  assert.match(checks.find(({ name }) => name === "channel")?.found ?? "", /^tiny: /);
});
