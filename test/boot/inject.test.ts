/** Ingots as a user handles them: `anvil boot` in one process, `anvil inject` and `anvil ingot` in others. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { createPrivateKey, randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import type { InjectEvent } from "../../src/inject/events.ts";
import { Ingot } from "../../src/inject/ingot-file.ts";
import { newKey, requireKey } from "../../src/inject/key-file.ts";
import { Console } from "../../src/vm/console.ts";
import { findMachine } from "../../src/vm/state.ts";
import { ingotFile, makeIngot, type IngotFields } from "./ingot.ts";
import { monolith, scratch } from "./monolith.ts";
import { project } from "../this-project.ts";

const anvil = path.join(project.root, "bin/anvil");
const MACHINE = `test-inject-${process.pid}`;
const LONG = { timeoutMs: 300_000 };
const CHUNK = 4 << 20;
/** What lz4 says of itself: 1.9 calls itself a command line interface. */
const LZ4 = /^\*\*\* lz4 .*v1\./im;

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, [anvil, ...args], { env: { ...process.env, ...env } });
}

async function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const child = start([...args, "--machine", MACHINE], env);
  const status = new Promise<number | null>((resolve) => child.on("close", resolve));
  if (child.stdout === null || child.stderr === null) throw new Error("no pipes");
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { status: await status, stdout, stderr };
}

async function succeed(args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await run(args);
  assert.equal(status, 0, `${args.join(" ")}\n${stdout}\n${stderr}`);
  return stdout;
}

async function refused(args: readonly string[], code: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const { status, stderr } = await run(args, env);
  assert.equal(status, 1, args.join(" "));
  assert.match(stderr, new RegExp(`^${code} {2}`));
  return stderr;
}

/** `anvil boot` with its input and output piped; it has ended when the test has. */
async function bootInOtherProcess(t: TestContext): Promise<{ child: ChildProcess; ended: Promise<number | null> }> {
  const child = start(["boot", "--iso", (await monolith()).iso, "--name", MACHINE]);
  t.after(() => child.kill("SIGKILL"));
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  await new Promise<void>((resolve, reject) => {
    child.stdout?.on("data", (bytes: Buffer) => bytes.includes("[serial port of") && resolve());
    void ended.then((status) => reject(new Error(`anvil boot ended with ${status}`)));
  });
  return { child, ended };
}

/** Like `demo`, by the hand of the user whose key the system trusts. */
function signedFile(folder: string, fields: IngotFields): string {
  const key = requireKey(project.keys);
  const secret = createPrivateKey(readFileSync(project.keys.own));
  const file = path.join(folder, `${fields.name}-${fields.version}.ingot`);
  writeFileSync(file, ingotFile(makeIngot(fields), { secret, publicKey: key.public }));
  return file;
}

const eventsOf = (stdout: string): InjectEvent[] =>
  stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as InjectEvent)
    .filter(({ type }) => ["connect", "system", "ingot", "phase", "progress", "injected"].includes(type));

interface Listed {
  readonly name: string;
  readonly version: string;
  readonly state: string;
}

async function list(): Promise<string[]> {
  const listed = JSON.parse(await succeed(["ingot", "list", "--json"])) as Listed[];
  return listed.map(({ name, version, state }) => `${name} ${version} ${state}`).sort();
}

test("an ingot goes from the host into the running system, and can be checked, rolled back and removed from there", async (t) => {
  const folder = scratch(t);
  const { child, ended } = await bootInOtherProcess(t);
  const machine = await findMachine(project.store.paths.top, MACHINE);
  const console = new Console({
    label: "the console",
    timeScale: machine.timeScale,
    evidence: () => [],
    log: undefined,
    socket: machine.console ?? "",
  });
  t.after(() => console.close());
  const inside = async (command: string): Promise<string> =>
    (await console.succeed(`. /etc/profile; ${command}`, LONG)).trim();

  await t.test("while it still starts: an ingot is sent, proven and active", async () => {
    const events = eventsOf(await succeed(["inject", "tools", "--json"]));
    const phases = events.flatMap((event) => (event.type === "phase" ? [event.phase] : []));
    assert.deepEqual(phases, ["receive", "prove", "snapshot", "activate"]);
    const system = events.find((event) => event.type === "system");
    assert.deepEqual([system?.pool, system?.kept], ["memory", false]);
    const last = events.at(-1);
    assert.ok(last?.type === "injected" && last.facts["state"] === "active" && last.facts["was"] === "none");
    for (const time of ["receive", "hash", "unpack", "write"]) assert.match(last.facts[`time-${time}`] ?? "", /^\d+$/);
    assert.match(await inside("lz4 --version"), LZ4);
    assert.equal(await inside("command -v lz4"), "/ingots/bin/lz4");
  });

  await t.test("the same once more is nothing to do", async () => {
    assert.match(await succeed(["inject", "tools"]), /^nothing to do: tools .* is active already$/m);
  });

  await t.test("list and verify say what is there", async () => {
    const [first] = await list();
    assert.match(first ?? "", /^tools 1\.\S+ active$/);
    assert.match(await succeed(["ingot", "verify", "tools"]), /^tools \S+ [0-9a-f]{12} well$/m);
  });

  await t.test("an exported file is what goes over", async () => {
    const out = path.join(folder, "out");
    const child = start(["ingot", "export", "tools", "--out", out]);
    assert.ok(child.stdout !== null);
    const file = (await text(child.stdout)).trim();
    assert.ok(existsSync(file));
    const ingot = await Ingot.ofFile(file);
    await ingot.close();
    assert.match(await succeed(["inject", "--file", file]), /^nothing to do/m);
  });

  const other = (version: string): string =>
    signedFile(folder, { name: "tools", version, tree: { "usr/bin/lz4": `#!/bin/sh\necho other ${version}\n` } });

  await t.test("a newer one replaces it, an older one only when allowed; a rollback brings it back", async () => {
    await succeed(["inject", "--file", other("99")]);
    assert.equal(await inside("lz4"), "other 99");
    await succeed(["ingot", "rollback", "tools"]);
    assert.match(await inside("lz4 --version"), LZ4);
    await refused(["inject", "--file", other("1.0")], "E_INGOT_DOWNGRADE");
    assert.match(await inside("lz4 --version"), LZ4);
    await succeed(["inject", "--file", other("1.0"), "--allow-downgrade"]);
    assert.equal(await inside("lz4"), "other 1.0");
    await succeed(["ingot", "rollback", "tools"]);
    await refused(["ingot", "rollback", "none"], "E_INGOT_UNKNOWN");
  });

  await t.test("what is signed with another key is refused, and nothing changes", async () => {
    const before = await list();
    const key = path.join(folder, "stranger.pem");
    writeFileSync(key, newKey().pem, { mode: 0o600 });
    assert.match(await refused(["inject", "tools"], "E_INGOT_SIGNATURE", { ANVIL_KEY: key }), /trusted: [0-9a-f]{16}/);
    assert.deepEqual(await list(), before);
  });

  await t.test("a sender that is killed is followed by one that sends the rest", async () => {
    const tree = { "share/ballast": randomBytes(12 * CHUNK) };
    const file = signedFile(folder, { name: "large", version: "1", tree });
    const sender = start(["inject", "--file", file, "--machine", MACHINE, "--json"]);
    const gone = new Promise((resolve) => sender.on("close", resolve));
    assert.ok(sender.stdout !== null);
    for await (const line of createInterface({ input: sender.stdout })) {
      const event = JSON.parse(line) as InjectEvent;
      if (event.type === "progress" && event.bytes > 2 * CHUNK) sender.kill("SIGKILL");
    }
    await gone;
    const events = eventsOf(await succeed(["inject", "--file", file, "--json"]));
    const last = events.at(-1);
    assert.ok(last?.type === "injected");
    assert.ok(Number(last.facts["resumed"]) >= 2, "it went on where the first one was");
    assert.ok(last.sent < 11 * CHUNK, "what was there was not sent again");
    assert.match(await succeed(["ingot", "verify", "large"]), /well$/m);
  });

  await t.test("a sender that is interrupted ends with 130 and leaves the port to the next", async () => {
    const tree = { "share/ballast": randomBytes(8 * CHUNK) };
    const file = signedFile(folder, { name: "large", version: "2", tree });
    const sender = start(["inject", "--file", file, "--machine", MACHINE, "--json"]);
    const status = new Promise((resolve) => sender.on("close", resolve));
    assert.ok(sender.stdout !== null);
    for await (const line of createInterface({ input: sender.stdout }))
      if ((JSON.parse(line) as InjectEvent).type === "progress") sender.kill("SIGINT");
    assert.equal(await status, 130);
    assert.ok((await list()).includes("large 1 active"));
  });

  await t.test("what is removed is gone", async () => {
    await succeed(["ingot", "remove", "large"]);
    await succeed(["ingot", "remove", "tools"]);
    assert.deepEqual(await list(), []);
    assert.equal((await console.run(". /etc/profile; lz4 --version")).status, 127);
  });

  console.close();
  child.stdin?.write("\x1d");
  assert.equal(await ended, 0);
  await refused(["ingot", "list"], "E_NO_MACHINE");
});
