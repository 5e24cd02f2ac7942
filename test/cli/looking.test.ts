/** Commands that look at the project and at the store, each called in this process. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import type { Ended } from "./command-line.ts";
import { World } from "./world.ts";

const cleaning: (() => void)[] = [];
let world: World;

before(async () => {
  world = await World.make({ after: (act) => cleaning.push(act) });
  const forged = await world.anvil(["forge", "--out", world.path("out"), "--plain"]);
  assert.equal(forged.status, 0, forged.stderr);
});

after(() => cleaning.forEach((act) => act()));

const document = ({ stdout }: Ended): Record<string, unknown> => JSON.parse(stdout) as Record<string, unknown>;

function refused({ status, stderr }: Ended, code: string, expected = 1): void {
  assert.match(stderr, new RegExp(`^${code} {2}`));
  assert.equal(status, expected);
}

test("status says what is missing, and that nothing is", async () => {
  const done = await world.anvil(["status"]);
  assert.equal(done.status, 0, done.stderr);
  assert.match(
    done.stdout,
    /^channel tiny: chosen for this folder, never built whole.*\nnothing to do\nstore \/.*GB free\n$/,
  );
  const open = await world.anvil(["status", "guest", "broken", "--json"]);
  assert.equal(open.status, 1);
  const missing = document(open)["missing"] as { name: string; kind: string }[];
  assert.deepEqual(missing.map(({ name, kind }) => [name, kind]).sort(), [
    ["broken", "step"],
    ["guest", "step"],
  ]);
  const text = await world.anvil(["status", "guest"]);
  assert.match(text.stdout, /\nto download: 0 files; to build: guest\n/);
});

test("graph has every step in build order, and what it needs", async () => {
  const { nodes, targets, channel } = document(await world.anvil(["graph", "--json"])) as {
    channel: string;
    targets: string[];
    nodes: { key: string; name: string; kind: string; needs: string[]; present: boolean }[];
  };
  assert.equal(channel, "tiny");
  const at = (name: string): number => nodes.findIndex((node) => node.name === name && node.kind === "step");
  assert.ok(at("base") < at("rootfs") && at("rootfs") < at("iso"));
  assert.ok(nodes[at("iso")]?.needs.includes(nodes[at("rootfs")]?.key ?? ""));
  assert.deepEqual(targets, [nodes[at("iso")]?.key]);
  const { stdout } = await world.anvil(["graph"]);
  assert.match(stdout, /^✓ [0-9a-f]{12} {2}iso .*← .*rootfs/m);
  assert.match(stdout, /packages of the seed are not shown \(--all\)\n$/);
  assert.match((await world.anvil(["graph", "--all"])).stdout, /fetch bash /);
  assert.match((await world.anvil(["graph", "--no-root-login"])).stdout, / iso-no-login /);
  refused(await world.anvil(["graph", "--no-root-login", "--root-login"]), "E_USAGE", 2);
});

test("why has the way from the image, the inputs and the proofs", async () => {
  const found = document(await world.anvil(["why", "base", "--json"]));
  assert.deepEqual(Object.keys(found), [
    ...["name", "version", "key", "present", "elsewhere", "path", "inputs", "proofs"],
  ]);
  assert.deepEqual([found["name"], found["version"], found["present"]], ["base", "1.0", true]);
  assert.deepEqual(found["path"], ["iso", "rootfs", "base"]);
  assert.equal((found["proofs"] as string[]).length, 1);
  const { stdout } = await world.anvil(["why", "guest"]);
  assert.match(
    stdout,
    /^guest .*\n {2}key {5}[0-9a-f]{64}\n {2}output {2}not built\n {2}needed {2}not by the ISO\n {2}from /,
  );
  refused(await world.anvil(["why", "nothing"]), "E_NO_TARGET");
  refused(await world.anvil(["why"]), "E_USAGE", 2);
  refused(await world.anvil(["why", "base", "iso"]), "E_USAGE", 2);
});

test("log prints what a step printed, or where that is", async () => {
  const { stdout, status } = await world.anvil(["log", "base"]);
  assert.deepEqual([status, stdout], [0, "base says 42\n"]);
  const where = (await world.anvil(["log", "base", "--path"])).stdout.trim();
  assert.equal(readFileSync(where, "utf8"), stdout);
  refused(await world.anvil(["log", "guest"]), "E_NO_LOG");
});

test("report makes a page of the last run, and refuses where there is none", async () => {
  const page = world.path("pages/report.html");
  const { status, stdout } = await world.anvil(["report", "--out", page]);
  assert.deepEqual([status, stdout], [0, `file://${page}\n`]);
  assert.match(readFileSync(page, "utf8"), /<html[^]*base/);
  refused(await world.anvil(["report", "--events", world.path("none")]), "E_NO_LOG");
  refused(await world.anvil(["report", "--out", world.write("file", "") + "/report.html"]), "E_READ_ONLY");
});

test("verify finds what is damaged, and removes it unless it is to be kept", async () => {
  const { sources } = world.project.store.paths;
  const name = "0".repeat(64);
  writeFileSync(path.join(sources, name), "not of this hash");
  const kept = await world.anvil(["verify", "--keep", "--json"]);
  assert.equal(kept.status, 1);
  assert.deepEqual(document(kept)["damaged"], [`source ${name}`]);
  assert.ok(existsSync(path.join(sources, name)));
  const removed = await world.anvil(["verify"]);
  assert.equal(removed.status, 1);
  assert.match(removed.stdout, new RegExp(`^damaged {2}source ${name}: removed\n.* 1 damaged\n$`));
  assert.equal((await world.anvil(["verify"])).status, 0);
});

test("gc keeps what a plan needs and removes the rest, or only says so", async () => {
  const { store } = world.project;
  const sandbox = path.join(store.paths.top, "failed/other");
  mkdirSync(sandbox, { recursive: true });
  writeFileSync(path.join(sandbox, "file"), "12345");
  const dry = await world.anvil(["gc", "--dry-run"]);
  assert.match(dry.stdout, /^would remove {2}kept sandbox other of a failed step$/m);
  assert.ok(existsSync(sandbox));
  // what was looked at before the build is no part of the plan
  const kept = store.outputs.records().filter(({ name }) => name !== "preflight-thing");
  const { removed, bytes } = document(await world.anvil(["gc", "--json"])) as { removed: string[]; bytes: number };
  assert.ok(removed.includes("kept sandbox other of a failed step"));
  assert.ok(bytes >= 5);
  assert.ok(!existsSync(sandbox));
  assert.deepEqual(store.outputs.records(), kept);
});

test("channel shows the channels, and changes the one that is built here", async () => {
  const shown = document(await world.anvil(["channel", "--json"]));
  assert.equal(shown["channel"], "tiny");
  assert.deepEqual(
    (shown["channels"] as { name: string; default: boolean }[]).map((each) => [each.name, each.default]),
    [
      ["newer", false],
      ["tiny", true],
    ],
  );
  const changed = await world.anvil(["channel", "newer"]);
  assert.match(
    changed.stdout,
    /^channel newer: chosen for this folder[^]*\n\* newer: [^]*\nfrom tiny to newer:\n {2}thing 1\.0 → 2\.0\n$/,
  );
  assert.match((await world.anvil(["why", "base"])).stdout, /^base 2\.0\n/);
  assert.equal((await world.anvil(["channel", "tiny"])).status, 0);
  refused(await world.anvil(["channel", "nowhere"]), "E_CHANNEL");
});

test("audit judges what the channel pins, and what an image was made of", async () => {
  const open = await world.anvil(["audit", "base"]);
  assert.equal(open.status, 1);
  assert.match(
    open.stdout,
    /^thing 1\.0\n {2}open {10}a small fault\n {16}THING-1\n[^]*channel tiny: 1 open, 0 fixed, /m,
  );
  const fixed = await world.anvil(["audit", "base", "--channel", "newer", "--json"]);
  assert.equal(document(fixed)["open"], 0);
  const iso = await world.anvil(["audit", world.path("out/small.iso"), "--json"]);
  assert.equal(document(iso)["of"], world.path("out/small.iso"));
  assert.equal(document(iso)["open"], 1);
  writeFileSync(world.path("out/small.iso"), "other bytes");
  refused(await world.anvil(["audit", world.path("out/small.iso")]), "E_MANIFEST");
});

test("purge says whether a source is as expected, and copies it without what goes", async () => {
  world.write("source/Cargo.toml", "");
  world.write("source/src/firecracker/Cargo.toml", '[package]\nname = "firecracker"\n');
  world.write("source/src/firecracker/main.rs", "fn main() { trace!() }\n");
  const held = await world.anvil(["purge", "--check", world.path("source")]);
  assert.equal(held.status, 0, held.stdout);
  assert.match(
    held.stdout,
    /^src\/firecracker\/main\.rs {2}1 of 1\na small program: all 1 anchors and 1 checks hold\n$/,
  );
  const made = await world.anvil(["purge", "--apply", world.path("source"), "--to", world.path("purged")]);
  assert.equal(made.status, 0);
  assert.equal(readFileSync(world.path("purged/src/firecracker/main.rs"), "utf8"), "fn main() {  }\n");
  const again = ["purge", "--apply", world.path("source"), "--to", world.path("purged")];
  refused(await world.anvil(again), "E_USAGE", 2);
  const moved = await world.anvil(["purge", "--check", world.path("purged"), "--json"]);
  assert.equal(moved.status, 1);
  assert.equal(document(moved)["holds"], false);
  refused(await world.anvil(["purge", "--check", world.path("none")]), "E_PURGE_SOURCE");
});
