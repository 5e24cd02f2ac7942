/** Steps that a Monolith builds: what is sent for them, how they are followed, and what comes back. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { chmodSync, lstatSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { portableSteps, workshop } from "../../recipes/workshop.ts";
import { manifestOf } from "../../src/forge/manifest.ts";
import { logFile } from "../../src/forge/step.ts";
import { Client } from "../../src/inject/client.ts";
import { frame } from "../../src/inject/frames.ts";
import { parseManifest } from "../../src/inject/manifest.ts";
import { parseListing, Workshop } from "../../src/inject/workshop.ts";
import type { Digest, StepDerivation } from "../../src/recipe/derivation.ts";
import { exists } from "../../src/recipe/proof.ts";
import { recipe, source, type Recipe } from "../../src/recipe/recipe.ts";
import { prelude } from "../../src/recipe/step.ts";
import { projectRoot, Rig, step, type Cleanup } from "../forge/rig.ts";
import { tarball } from "../forge/sources.ts";
import { GREETING, Peer, refusal, success } from "./peer.ts";

const root = step("root", "mkdir -p /out/usr/bin; cp /usr/bin/bash /out/usr/bin; ln -s usr/bin /out/bin");
const tool = step("tool", "mkdir -p /out/usr/bin; echo tool > /out/usr/bin/tool");
const first = recipe({
  name: "first",
  folder: "number",
  licence: "0BSD",
  source: source("thing"),
  files: ["native/thing.c", "native/more"],
  root,
  tools: [tool],
  env: { WORDS: `two words, it's "$HOME"` },
  script: "cat > said <<'END'\nfirst\nEND\ncp said /out\n",
  proves: [exists("said")],
});
const second = recipe({
  name: "second",
  licence: "0BSD",
  root,
  inputs: [first],
  link: [tool],
  script: (versions) => `echo ${versions.of("thing")} > /out/version`,
  proves: [exists("version")],
});

async function rigWithSource(t: Cleanup): Promise<{ rig: Rig; archive: Buffer }> {
  const { bytes, pin } = await tarball("thing", [{ name: "said", data: "unpacked\n" }]);
  const rig = await Rig.make(t, { components: { thing: pin } });
  writeFileSync(rig.store.sources.path(pin.sha256 as Digest), bytes);
  rig.projectFile("native/thing.c", "int thing;\n");
  rig.projectFile("native/more/thing.h", "extern int thing;\n");
  for (const name of ["run", "enter"]) {
    const file = `system/workshop/${name}`;
    rig.projectFile(file, readFileSync(path.join(projectRoot, file), "utf8"));
    chmodSync(path.join(rig.project, file), 0o755);
  }
  return { rig, archive: bytes };
}

test("what sees no seed can be built there, each after what it needs", () => {
  const [last] = [step("last", "", { inputs: [second, tool] })];
  assert.deepEqual(portableSteps([last, second]), [first, second]);
  assert.deepEqual(portableSteps([tool]), []);
});

test("a workshop brings what the sandbox would show: the same script, environment and places", async (t) => {
  const { rig, archive } = await rigWithSource(t);
  const { body, trees } = workshop("pieces", [first, second]);
  const run = await rig.forge(body);
  assert.equal(run.ok, true, [...run.lines("workshop-pieces"), ...run.lines("ingot-workshop-pieces")].join("\n"));
  const read = (file: string): string => rig.read(trees[0], `workshop/${file}`);
  assert.equal(read("steps"), "first\nsecond\n");
  for (const each of [first, second]) {
    const derivation = rig.evaluate(each).nodes.get(rig.key(each))?.derivation as StepDerivation;
    assert.equal(read(`plan/${each.name}/step.sh`), `${prelude}${derivation.script}`);
    const environment = Object.entries(derivation.env).map(([name, value]) => `${name}=${value}`);
    assert.deepEqual(read(`plan/${each.name}/env`).trim().split("\n").sort(), environment.sort());
  }
  assert.equal(read("plan/first/mounts"), "/ trees/root\n/tools/tool trees/tool\n/src/thing src/thing\n");
  assert.equal(read("plan/second/mounts"), "/ trees/root\n/deps/tool trees/tool\n/in/number made/first\n");
  assert.equal(read("plan/first/files/native/thing.c"), "int thing;\n");
  assert.equal(read("plan/first/files/native/more/thing.h"), "extern int thing;\n");
  assert.equal(read("trees/tool/usr/bin/tool"), "tool\n");
  assert.ok(lstatSync(rig.output(trees[0], "workshop/trees/root/bin")).isSymbolicLink());
  assert.deepEqual(readFileSync(rig.output(trees[0], "workshop/src/thing")), archive);
  const manifest = parseManifest(readFileSync(rig.output(body, "manifest")));
  assert.deepEqual([manifest.name, manifest.services, manifest.data], ["workshop-pieces", ["workshop-pieces"], true]);
});

test("outputs that would stand at the same place are refused", () => {
  const other = step("other", "", { folder: "tool" });
  const third = recipe({ ...second, name: "third", source: [], inputs: [other] });
  assert.throws(() => workshop("pieces", [second, third]), /at the same place: .*tool, .*other/);
});

const KEY = "0123456789abcdef".repeat(4);
const never = new AbortController().signal;

/** What a workshop has written, by path below its folder. */
type Files = Record<string, string>;

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** Both steps done, with what they made. */
function finished(said = "first\n"): Files {
  return {
    events: "start first\ndone first 3\nstart second\ndone second 1\nend\n",
    "logs/first": "one\ntwo\n",
    "logs/second": "",
    "lists/first": [
      `s ${said.length} ./said\ns 2 ./a b/program\n`,
      `d .\nd ./a b\nl ./a b/link\t../said\nf ${sha256(said)}  ./said\nx ${sha256("#!")}  ./a b/program\n`,
    ].join(""),
    "lists/second": `s 4 ./version\nd .\nf ${sha256("1.0\n")}  ./version\n`,
    "made/first/said": said,
    "made/first/a b/program": "#!",
    "made/second/version": "1.0\n",
  };
}

/** The agent's `get` over files in memory; `look` is called before each. */
async function monolith(
  files: Files,
  look: (file: string) => void = () => undefined,
  signal = never,
): Promise<Workshop> {
  const peer = new Peer(({ type, body }, peer) => {
    if (type === "H") return peer.say(GREETING);
    const [command, ingot, encoded = "", from] = body.toString().split(" ");
    assert.deepEqual([command, ingot], ["get", "workshop-pieces"]);
    const file = encoded.replaceAll("%20", " ");
    assert.ok(file.startsWith(`${KEY.slice(0, 32)}/`));
    look(file.slice(33));
    const content = files[file.slice(33)];
    if (content === undefined) return peer.say(refusal("E_INGOT_UNKNOWN there is no such file\n"));
    const rest = Buffer.from(content).subarray(Number(from));
    peer.say(...(rest.length === 0 ? [] : [frame("B", rest)]), success(`size ${content.length}\n`));
  });
  const client = await Client.open(peer, signal);
  return new Workshop((act) => act(client), "workshop-pieces", KEY, "pieces");
}

test("what was built there is fetched, proven and put into the store", async (t) => {
  const { rig } = await rigWithSource(t);
  const run = await rig.forge([first, second], { elsewhere: await monolith(finished()) });
  assert.equal(run.ok, true);
  const store = rig.store.accepting(["pieces"]);
  const output = (file: string): string => path.join(store.outputs.path(rig.key(first)), file);
  assert.equal(readFileSync(output("said"), "utf8"), "first\n");
  assert.equal(readFileSync(output("a b/link"), "utf8"), "first\n");
  assert.equal(lstatSync(output("a b/program")).mode & 0o777, 0o555);
  assert.equal(lstatSync(output("said")).mode & 0o777, 0o444);
  assert.deepEqual(store.outputs.record(rig.key(first))?.proofs, [{ proof: "has said", detail: "1 found" }]);
  assert.deepEqual(store.outputs.record(rig.key(first))?.origin, { place: "the Monolith", for: ["pieces"] });
  assert.deepEqual(run.lines("first"), ["one", "two"]);
  assert.equal(readFileSync(logFile(rig.store, rig.key(first), "first"), "utf8"), "one\ntwo\n");
  assert.ok(run.made.indexOf("first") < run.made.indexOf("second"));
});

/** What `finished` has of `first`, made in the sandbox. */
const plain = step(
  "first",
  `mkdir "/out/a b"; ln -s ../said "/out/a b/link"; printf '#!' > "/out/a b/program"; chmod 755 "/out/a b/program"
echo first > /out/said`,
);

test("what was built there is used for that ingot alone, and so is what is made from it", async (t) => {
  const { rig } = await rigWithSource(t);
  const made = step("made", "cp /in/first/said /out", { inputs: [plain] });
  await rig.forge(plain, { elsewhere: await monolith(finished()) });
  const accepting = rig.store.accepting(["pieces"]);
  const forIngot = await rig.forge(made, { store: accepting });
  assert.deepEqual(forIngot.made, ["made"]);
  assert.deepEqual(accepting.outputs.record(rig.key(made))?.origin, { place: "the Monolith", for: ["pieces"] });
  assert.equal(rig.store.outputs.has(rig.key(made)), false);
  const evaluation = rig.evaluate(made);
  const facts = { why: "", files: [], trust: [], rootLogin: true, logins: [], known: {} };
  assert.deepEqual(
    manifestOf(evaluation, accepting, facts)
      .components.flatMap(({ name, origin }) => (origin ? [name] : []))
      .sort(),
    ["first", "made"],
  );
  // nobody else has it: the sandbox makes its own, which is the same
  const again = await rig.forge(made);
  assert.deepEqual(again.made, ["first", "made"]);
  assert.deepEqual(again.names("notice"), []);
  assert.equal(rig.store.outputs.record(rig.key(made))?.origin, undefined);
  assert.equal(rig.store.outputs.record(rig.key(made))?.digest, accepting.outputs.elsewhere(rig.key(made))[0]?.digest);
  assert.deepEqual(
    manifestOf(evaluation, accepting, facts).components.filter(({ origin }) => origin !== undefined),
    [],
  );
});

test("that the sandbox makes something else is told, and the other is not used", async (t) => {
  const { rig } = await rigWithSource(t);
  await rig.forge(plain, { elsewhere: await monolith(finished("other\n")) });
  const run = await rig.forge(plain);
  const notices = run.events.flatMap((event) => (event.type === "notice" ? [event.text] : []));
  assert.equal(notices.length, 1);
  assert.match(notices[0] ?? "", /^first as the Monolith built it for pieces is not what the sandbox made of it/);
  assert.equal(
    readFileSync(path.join(rig.store.accepting(["pieces"]).outputs.path(rig.key(plain)), "said"), "utf8"),
    "first\n",
  );
});

test("what the Monolith sends beyond what it listed is not taken", async (t) => {
  const { rig } = await rigWithSource(t);
  const longer = { ...finished(), "made/first/said": "first\nand more\n" };
  const run = await rig.forge(first, { elsewhere: await monolith(longer) });
  assert.equal(run.fault.code, "E_INGOT_PROTOCOL");
  assert.match(run.fault.message, /sends more of made\/first\/said than it can have/);
  assert.deepEqual(run.fault.details, ["at most 6 bytes"]);
});

test("an output that does not fit is refused before its first file is fetched", async (t) => {
  const { rig } = await rigWithSource(t);
  const large = { ...finished() };
  large["lists/first"] = (large["lists/first"] ?? "").replace("s 6 ", "s 999999999999999 ");
  const looked: string[] = [];
  const run = await rig.forge(first, { elsewhere: await monolith(large, (file) => looked.push(file)) });
  assert.equal(run.fault.code, "E_DISK_FULL");
  assert.deepEqual(
    looked.filter((file) => file.startsWith("made/")),
    [],
  );
});

test("the list that the workshop writes is the one that is read", async (t) => {
  const { rig } = await rigWithSource(t);
  const script = readFileSync(path.join(projectRoot, "system/workshop/run"), "utf8");
  const list = /^list\(\) \($.*?^\)$/ms.exec(script)?.[0] ?? "";
  const lister = step(
    "lister",
    `mkdir -p "tree/a b/empty"; printf 12345 > tree/data; printf '#!' > "tree/a b/program"; chmod 755 "tree/a b/program"
ln -s "../data x" "tree/a b/link"
${list}
list /build/tree > /out/list`,
  );
  assert.equal((await rig.forge(lister)).ok, true);
  assert.deepEqual(Object.fromEntries(parseListing(rig.read(lister, "list"))), {
    "a b": { kind: "dir" },
    "a b/empty": { kind: "dir" },
    "a b/link": { kind: "link", target: "../data x" },
    "a b/program": { kind: "file", executable: true, sha256: sha256("#!"), size: 2 },
    data: { kind: "file", executable: false, sha256: sha256("12345"), size: 5 },
  });
});

test("what the store has must be the same", async (t) => {
  const { rig } = await rigWithSource(t);
  await rig.forge(plain);
  const before = await rig.digest(plain);
  const again = await rig.forge(plain, { elsewhere: await monolith(finished()) });
  assert.equal(again.ok, true);
  assert.deepEqual([...again.names("proof")].sort(), ["first"]);
  const other = { ...finished("other\n"), "lists/first": `s 6 ./said\nd .\nf ${sha256("other\n")}  ./said\nd ./new\n` };
  const differing = await rig.forge(plain, { elsewhere: await monolith(other) });
  assert.equal(differing.fault.code, "E_OUTPUT_DIFFERS");
  assert.deepEqual(differing.fault.details, [
    "a b/link: only here",
    "a b/program: only here",
    "a b: only here",
    "new: only there",
    "said: differs",
  ]);
  assert.equal(await rig.digest(plain), before);
});

test("what does not have its proofs, or came over damaged, does not enter the store", async (t) => {
  const { rig } = await rigWithSource(t);
  const empty = { ...finished(), "lists/first": "d .\nd ./empty\n" };
  const unproven = await rig.forge([first], { elsewhere: await monolith(empty) });
  assert.equal(unproven.fault.code, "E_PROOF");
  const damaged = { ...finished(), "made/first/said": "f1rst\n" };
  const broken = await rig.forge([first], { elsewhere: await monolith(damaged) });
  assert.equal(broken.fault.code, "E_INGOT_DAMAGED");
  assert.equal(await rig.digest(first), undefined);
});

test("a step that fails there fails here, with what it said last, and what waits for it is skipped", async (t) => {
  const { rig } = await rigWithSource(t);
  const files = { events: "start first\nfailed first 2\n", "logs/first": "it broke\n" };
  const run = await rig.forge([first, second], { elsewhere: await monolith(files) });
  assert.equal(run.fault.code, "E_STEP_FAILED");
  assert.match(run.fault.message, /first ended with exit status 2/);
  assert.match(run.fault.details[0] ?? "", /\/ingots\/workshop-pieces\/data\/0123456789abcdef0123456789abcdef\/work\b/);
  const failed = run.events.find((event) => event.type === "failed");
  assert.deepEqual(failed?.type === "failed" ? failed.tail : [], ["it broke"]);
  assert.deepEqual(run.names("skipped"), ["second"]);
});

test("a step that is begun anew there is followed from its beginning", async (t) => {
  const { rig } = await rigWithSource(t);
  const files: Files = { "logs/first": "one\nha" };
  let looks = 0;
  const look = (file: string): void => {
    if (file !== "events") return;
    looks++;
    if (looks === 2) files["events"] = "start first\n";
    if (looks === 3) Object.assign(files, { events: "start first\nstart fir", "logs/first": "one\n" });
    if (looks === 4) Object.assign(files, finished(), { events: "start first\nstart first\ndone first 1\n" });
  };
  const run = await rig.forge([first], { elsewhere: await monolith(files, look) });
  assert.equal(run.ok, true);
  assert.deepEqual(run.lines("first"), ["one", "haone", "two"]);
});

test("several steps wait over one line, and a signal ends that", async (t) => {
  const { rig } = await rigWithSource(t);
  const twin: Recipe = recipe({ ...first, name: "twin", source: source("thing") });
  const controller = new AbortController();
  const looked = new Map<string, number>();
  const look = (file: string): void => {
    looked.set(file, (looked.get(file) ?? 0) + 1);
    if ((looked.get("logs/first") ?? 0) > 1 && (looked.get("logs/twin") ?? 0) > 1) controller.abort();
  };
  const files = { events: "start first\nstart twin\n", "logs/first": "", "logs/twin": "" };
  const place = await monolith(files, look, controller.signal);
  const run = await rig.forge([first, twin], { elsewhere: place, signal: controller.signal });
  assert.deepEqual([run.ok, run.outcome.failed.size], [false, 0]);
});

test("a listing that cannot be an output is refused", () => {
  const hash = sha256("");
  const listings = [
    `f ${hash}  ./a/b\n`,
    `f ${hash}  ../a\n`,
    `f ${hash}  /a\n`,
    `f ${hash.slice(1)}  ./a\n`,
    "d ./..\n",
    "d ./a/\n",
    "d ./a\nd ./a/../b\n",
    "d ./a\nd ./a\n",
    `l ./a\t/etc\nf ${hash}  ./a/passwd\n`,
    "l ./a\n",
    "p ./pipe\n",
    `f ${hash}  ./a\n`,
    `f ${hash}  ./a\ns 0 ./a\n`,
    "s 1 ./a\ns 2 ./a\n",
    `s -1 ./a\nf ${hash}  ./a\n`,
    `s ${"9".repeat(16)} ./a\nf ${hash}  ./a\n`,
    `d ./${"a".repeat(256)}\n`,
    `l ./a\t${"a/".repeat(2048)}\n`,
    "l ./a\tb\0c\n",
  ];
  for (const text of listings) assert.throws(() => parseListing(text), { code: "E_INGOT_PROTOCOL" }, text);
  assert.deepEqual(
    [...parseListing("d .\nd ./a\nl ./a/x\ty z\n")],
    [
      ["a", { kind: "dir" }],
      ["a/x", { kind: "link", target: "y z" }],
    ],
  );
});
