/** `anvil inject` and `anvil ingot` as a user runs them. The Monolith is played here; test/boot has the real one. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { after, before, test, type TestContext } from "node:test";
import { Ingot } from "../../src/inject/ingot-file.ts";
import { frame } from "../../src/inject/frames.ts";
import { identify, type ProcessIdentity } from "../../src/host/process.ts";
import { removeState, writeState } from "../../src/vm/state.ts";
import { projectRoot } from "../forge/rig.ts";
import { acknowledged, GREETING, progress, refusal, success, wanted } from "../inject/peer.ts";
import { TinyProject } from "./tiny-project.ts";
import type { Ended } from "./command-line.ts";

const cleaning: (() => void)[] = [];
const debian = ["--channel", "debian"];
let project: TinyProject;

before(async () => {
  project = await TinyProject.make({ after: (act) => cleaning.push(act) });
  assert.equal((await project.anvil(["key", "new"])).status, 0);
});

after(() => cleaning.forEach((act) => act()));

/** A machine of this process, whose port is answered by `answer`, a frame at a time. */
async function playMachine(t: TestContext, answer: (type: string, body: Buffer) => Buffer[]): Promise<Buffer[]> {
  const socket = path.join(project.home, "port.sock");
  const received: Buffer[] = [];
  const server = createServer((connection) => {
    let rest = Buffer.alloc(0);
    connection.on("error", () => undefined);
    connection.on("data", (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32LE()) {
        const whole = rest.subarray(4, 4 + rest.readUInt32LE());
        rest = rest.subarray(4 + whole.length);
        received.push(whole);
        for (const each of answer(String.fromCharCode(whole[0] as number), whole.subarray(1))) connection.write(each);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const top = project.store.paths.top;
  await writeState(top, {
    name: "played",
    process: identify(process.pid) as ProcessIdentity,
    qmp: "/nowhere",
    console: undefined,
    ingot: socket,
    serialLog: undefined,
    timeScale: 1,
    forwards: [],
    started: new Date().toISOString(),
  });
  t.after(() => {
    removeState(top, "played");
    server.close();
  });
  return received;
}

const takes = (type: string): Buffer[] => {
  if (type === "H") return [GREETING];
  if (type === "M") return [progress("receive"), wanted(0, 4)];
  if (type === "D") return [acknowledged(0), progress("prove"), success("key abc\nwas none\nstate active\n")];
  return [];
};

function refused({ status, stderr }: Ended, code: string): void {
  assert.equal(status, 1);
  assert.match(stderr, new RegExp(`^${code} `));
  assert.doesNotMatch(stderr, /\n\s+at /);
}

test("without a machine that is said before anything is built", async () => {
  const result = await project.anvil(["inject", "number", ...debian]);
  refused(result, "E_NO_MACHINE");
  assert.match(result.stderr, /hint: `anvil boot` in another terminal/);
  assert.equal(result.stdout, "");
  refused(await project.anvil(["ingot", "list"]), "E_NO_MACHINE");
});

test("an ingot is built, signed and sent, and each phase is said", async (t) => {
  const received = await playMachine(t, takes);
  const { status, stdout, stderr } = await project.anvil(["inject", "number", ...debian]);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^done ingot-number /m);
  assert.match(stdout, /^system 0123456789ab, pool memory: in memory/m);
  assert.match(stdout, /^ingot number 4\.2, key [0-9a-f]{12}, 1 file, /m);
  assert.match(stdout, /^done receive .* at .*\/s\ndone prove /m);
  assert.match(stdout, /^active number 4\.2, /m);
  assert.deepEqual(
    received.map((each) => String.fromCharCode(each[0] as number)),
    ["H", "C", "M", "D"],
  );
});

test("what is built is sent without a word about building; --json is a line per event", async (t) => {
  const received = await playMachine(t, takes);
  const { status, stdout } = await project.anvil(["inject", "number", "--allow-downgrade", "--json", ...debian]);
  assert.equal(status, 0);
  const events = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { type: string; facts?: object });
  assert.deepEqual(
    events.map(({ type }) => type),
    ["connect", "system", "ingot", "phase", "progress", "progress", "phase", "injected"],
  );
  assert.deepEqual(events.at(-1)?.facts, { key: "abc", was: "none", state: "active" });
  assert.equal(received[1]?.toString(), "Cadd allow-downgrade");
});

test("what the Monolith says does not steer the terminal", async (t) => {
  const evil = "\x1b]0;title\x07\x1b[2Jma\u202ein\u009b31m\r";
  await playMachine(t, (type, body) => {
    if (type === "H")
      return [frame("H", `protocol 1\nsystem ${evil}\npool ${evil}\nkept yes\ntrust ${evil}\nfree 1\n`)];
    if (body.toString() === "list")
      return [frame("L", `${evil} 1 abc ${evil} 12 ${evil}\nforged`), success(`${evil} ${evil}\n`)];
    return type === "M" ? [progress(evil), refusal(`E_INGOT_ARCH ${evil}\n${evil}\nhint: ${evil}\n`)] : [];
  });
  const calls = [
    ["ingot", "list"],
    ["ingot", "list", "--json"],
    ["inject", "number", "--plain", ...debian],
  ];
  for (const args of calls) {
    const { stdout, stderr } = await project.anvil(args);
    assert.match(stdout, /ma.*in/);
    assert.doesNotMatch(stdout + stderr, /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]/);
  }
  assert.doesNotMatch((await project.anvil(["ingot", "list"])).stdout, /^forged/m);
});

test("a refusal ends with status 1 and the Monolith's words", async (t) => {
  await playMachine(t, (type) =>
    type === "H" ? [GREETING] : type === "M" ? [refusal("E_INGOT_ARCH wrong machine\nhint: buy another\n")] : [],
  );
  const result = await project.anvil(["inject", "number", ...debian]);
  refused(result, "E_INGOT_ARCH");
  assert.match(result.stderr, /^E_INGOT_ARCH {2}wrong machine\n {2}hint: buy another\n$/);
});

test("an exported file is shown and sent as it is", async (t) => {
  const out = path.join(project.home, "out");
  const { status, stdout } = await project.anvil(["ingot", "export", "number", "--out", out, ...debian]);
  assert.equal(status, 0);
  const [name] = readdirSync(out);
  assert.match(name ?? "", /^number-4\.2-[0-9a-f]{12}\.ingot$/);
  const file = path.join(out, name ?? "");
  assert.equal(stdout, `${file}\n`);
  const shown = await project.anvil(["ingot", "show", file, "--files"]);
  assert.match(shown.stdout, /^number 4\.2 {2}x86_64\n {2}key {5}[0-9a-f]{12}\n/);
  assert.match(shown.stdout, /^ {2}signed {2}by key [0-9a-f]{16}$/m);
  assert.match(shown.stdout, /^ {2}proofs {2}base number =~ \/\^42\$\/$/m);
  assert.match(shown.stdout, /^ {2}number {2}3 B$/m);
  const json = JSON.parse((await project.anvil(["ingot", "show", "number", "--json", ...debian])).stdout) as object;
  assert.equal((json as { name: string }).name, "number");

  const received = await playMachine(t, takes);
  assert.equal((await project.anvil(["inject", "--file", file])).status, 0);
  const ingot = await Ingot.ofFile(file);
  assert.deepEqual(received[2]?.subarray(1), ingot.head);
  await ingot.close();
  const bytes = readFileSync(file);
  bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
  writeFileSync(file, bytes);
  refused(await project.anvil(["inject", "--file", file]), "E_INGOT_CHUNK");
});

test("list, verify, rollback and remove go over, and what comes back is printed", async (t) => {
  const received = await playMachine(t, (type, body) => {
    if (type === "H") return [GREETING];
    const [command] = body.toString().split(" ");
    if (command === "list")
      return [
        frame("L", "tools 4.4.1 f13d50b2c0c5 active 303104"),
        frame("L", "cc 14.2.0 0123456789ab incoming 4194304 1/20"),
        success(""),
      ];
    if (command === "verify") return [frame("L", "tools 4.4.1 f13d50b2c0c5 damaged"), refusal("E_INGOT_DAMAGED bad\n")];
    return [success("name tools\nversion 4.4.1\n")];
  });
  const list = await project.anvil(["ingot", "list"]);
  assert.equal(
    list.stdout,
    "tools 4.4.1               f13d50b2c0c5  active    303 kB\ncc 14.2.0                 0123456789ab  incoming  4.19 MB, 1/20 chunks\n",
  );
  const [tools] = JSON.parse((await project.anvil(["ingot", "list", "--json"])).stdout) as object[];
  assert.deepEqual(tools, {
    name: "tools",
    version: "4.4.1",
    key: "f13d50b2c0c5",
    state: "active",
    bytes: 303104,
    received: null,
  });
  const verify = await project.anvil(["ingot", "verify", "tools"]);
  refused(verify, "E_INGOT_DAMAGED");
  assert.equal(verify.stdout, "tools 4.4.1 f13d50b2c0c5 damaged\n", "what was found before is not lost");
  assert.equal((await project.anvil(["ingot", "rollback", "tools"])).stdout, "name tools\nversion 4.4.1\n");
  assert.equal((await project.anvil(["ingot", "remove", "tools", "f13d50b2"])).status, 0);
  assert.equal((await project.anvil(["ingot", "remove", "tools", "--data"])).status, 0);
  assert.deepEqual(
    received.filter((each) => each[0] === "C".charCodeAt(0)).map((each) => each.toString("utf8", 1)),
    ["list", "list", "verify tools", "rollback tools", "remove tools f13d50b2", "remove tools data"],
  );
});

const PORTABLE = `
import { exists } from "../../src/recipe/proof.ts";
import { recipe } from "../../src/recipe/recipe.ts";
import { seedBase } from "../seed.ts";
import { ingot } from "../ingot.ts";
import { base } from "../iso.ts";

const root = recipe({
  name: "root",
  licence: "0BSD",
  seed: seedBase,
  script: "mkdir -p /out/usr/bin; cp /usr/bin/bash /out/usr/bin",
  proves: [exists("usr/bin/bash")],
});
const made = recipe({ name: "made", licence: "0BSD", root, script: "echo 6 > /out/made", proves: [exists("made")] });

export const ingots = [
  ingot({ name: "number", version: "4.2", trees: [base] }),
  ingot({ name: "portable", version: "1", trees: [made] }),
];
`;

test("with --in vm the Monolith builds it, is asked for what it made, and takes the ingot of that", async (t) => {
  const index = path.join(project.folder, "recipes/ingots/index.ts");
  const before = readFileSync(index, "utf8");
  t.after(() => writeFileSync(index, before));
  cpSync(path.join(projectRoot, "system/workshop"), path.join(project.folder, "system/workshop"), { recursive: true });
  writeFileSync(index, PORTABLE);
  const there: Readonly<Record<string, string>> = {
    events: "start made\ndone made 1\nend\n",
    "logs/made": "made here\n",
    "lists/made": `s 2 ./made\nd .\nf ${createHash("sha256").update("7\n").digest("hex")}  ./made\n`,
    "made/made/made": "7\n",
  };
  const received = await playMachine(t, (type, body) => {
    const [command, name, file = ""] = body.toString().split(" ");
    if (type !== "C" || command === "add") return takes(type);
    if (command === "remove") return [success("")];
    assert.deepEqual([command, name], ["get", "workshop-portable"]);
    return [frame("B", there[file.slice(33)] ?? ""), success("size 1\n")];
  });
  const { status, stdout, stderr } = await project.anvil(["inject", "portable", "--in", "vm", ...debian]);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^active workshop-portable 1, [^]*^done made [^]*^active portable 1, /m);
  const commands = received.filter((each) => each[0] === "C".charCodeAt(0)).map((each) => each.toString("utf8", 1));
  assert.deepEqual(
    commands.filter((command) => !command.startsWith("get")),
    ["add allow-downgrade", "remove workshop-portable data", "add"],
  );
  const made = project.store.outputs.records().find(({ name }) => name === "made");
  assert.deepEqual(made?.origin, { place: "the Monolith", for: ["portable"] });
  const accepting = project.store.accepting(["portable"]);
  assert.equal(readFileSync(path.join(accepting.outputs.path(made.key), "made"), "utf8"), "7\n");

  // nobody else takes it, unless that is said
  const why = await project.anvil(["why", "made", ...debian]);
  assert.match(why.stdout, /^ {2}output {2}not built\n {2}also {4}made \(made in the Monolith for portable\)$/m);
  const kept = await project.anvil(["gc", "--dry-run"]);
  assert.doesNotMatch(kept.stdout, /made in the Monolith/);
  const accepted = await project.anvil(["forge", "made", "--accept-from-vm", "portable", ...debian]);
  assert.match(accepted.stdout, /nothing to do/);
  assert.notEqual((await project.anvil(["forge", "made", ...debian])).status, 0);
  refused(await project.anvil(["forge", "made", "--accept-from-vm", "nothing"]), "E_NO_TARGET");
});

test("what needs a seed cannot be built there, which is said before anything is sent", async (t) => {
  const received = await playMachine(t, takes);
  refused(await project.anvil(["inject", "number", "--in", "vm", ...debian]), "E_NOT_PORTABLE");
  assert.deepEqual(received, []);
});

test("one process at a time speaks with a machine", async (t) => {
  let silent = (): void => undefined;
  const greeted = new Promise<void>((resolve) => (silent = resolve));
  await playMachine(t, (type) => {
    if (type === "H") return [GREETING];
    silent();
    return [];
  });
  const first = project.start(["ingot", "list"]);
  const ended = new Promise((resolve) => first.on("close", resolve));
  await greeted;
  const second = await project.anvil(["ingot", "list"]);
  refused(second, "E_INGOT_BUSY");
  assert.match(second.stderr, new RegExp(`by process ${first.pid}`));
  first.kill("SIGINT");
  assert.equal(await ended, 130);
});

test("wrong usage ends with 2", async () => {
  for (const args of [
    ["inject"],
    ["inject", "a", "b"],
    ["inject", "number", "--file", "x"],
    ["inject", "number", "--to", "host"],
    ["inject", "number", "--in", "cloud"],
    ["inject", "--file", "x", "--in", "vm"],
    ["ingot"],
    ["ingot", "frobnicate"],
    ["ingot", "rollback"],
    ["ingot", "list", "x"],
    ["ingot", "list", "--data"],
    ["ingot", "remove", "number", "0123456789ab", "--data"],
    ["ingot", "list", "--to", "ssh://h", "--machine", "m"],
  ]) {
    const { status, stderr } = await project.anvil(args);
    assert.equal(status, 2, args.join(" "));
    assert.match(stderr, /^E_USAGE/, args.join(" "));
  }
  refused(await project.anvil(["ingot", "show", "nothing", ...debian]), "E_NO_TARGET");
});
