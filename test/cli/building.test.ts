/** Commands that build something, each called in this process. */
import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { Ended } from "./command-line.ts";
import { World } from "./world.ts";

function refused({ status, stderr }: Ended, code: string, expected = 1): void {
  assert.match(stderr, new RegExp(`^${code} {2}`));
  assert.equal(status, expected);
}

test("forge builds the image, puts it out with its manifest, and has nothing to do after that", async (t) => {
  const world = await World.make(t);
  const out = world.path("out");
  const first = await world.anvil(["forge", "--out", out]);
  assert.equal(first.status, 0, first.stdout + first.stderr);
  assert.match(
    first.stdout,
    new RegExp(`\n${out}/small.iso is there, with its manifest beside it; .*\nroot login is open: `),
  );
  // one key, which was made for it
  assert.equal(readFileSync(`${out}/small.iso`, "utf8"), "42\n1\n");
  const manifest = JSON.parse(readFileSync(`${out}/small.manifest.json`, "utf8")) as { files: { file: string }[] };
  assert.equal(manifest.files[0]?.file, "small.iso");
  const { mtimeMs } = statSync(`${out}/small.iso`);
  const again = await world.anvil(["forge", "--out", out]);
  assert.match(again.stdout, /nothing to do/);
  assert.equal(statSync(`${out}/small.iso`).mtimeMs, mtimeMs);
  const closed = await world.anvil(["forge", "--no-root-login", "--out", world.path("closed")]);
  assert.match(closed.stdout, /\nroot login is closed on every console; over SSH nobody\. /);
});

test("forge of something else puts nothing out, and shows events as lines of JSON", async (t) => {
  const world = await World.make(t);
  const { status, stdout } = await world.anvil(["forge", "base", "--json", "-j", "1"]);
  assert.equal(status, 0);
  const events = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { type: string });
  assert.deepEqual([events[0]?.type, events.at(-1)?.type], ["plan", "end"]);
  refused(await world.anvil(["forge", "nothing"]), "E_NO_TARGET");
  refused(await world.anvil(["forge", "base", "-j", "none"]), "E_USAGE", 2);
  refused(await world.anvil(["forge", "base", "--accept-from-vm", "nothing"]), "E_NO_TARGET");
  refused(await world.anvil(["forge", "--colour"]), "E_USAGE", 2);
});

test("what a failing step leaves is entered by shell, and what did not fail is fresh", async (t) => {
  const world = await World.make(t);
  refused(await world.anvil(["shell", "broken", "--", "true"]), "E_NO_INPUTS");
  const failed = await world.anvil(["forge", "broken", "--plain"]);
  assert.equal(failed.status, 1);
  assert.match(failed.stdout, /this goes wrong/);
  const inside = await world.anvil(["shell", "broken", "--", "cat", "/build/half"]);
  assert.deepEqual([inside.status, inside.stdout], [0, "half\n"]);
  const fresh = await world.anvil(["shell", "base", "--", "sh", "-c", "ls /build; exit 4"]);
  assert.deepEqual([fresh.status, fresh.stdout], [4, ""]);
  refused(await world.anvil(["shell", "seed-base"]), "E_NO_TARGET");
});

test("guest copies kernel and initramfs, and says where they are", async (t) => {
  const world = await World.make(t);
  const { status, stdout } = await world.anvil(["guest", "--out", world.path("out"), "--plain"]);
  assert.equal(status, 0);
  assert.match(
    stdout,
    new RegExp(`^${world.path("out/vmlinux")}  7 bytes\n${world.path("out/guest.cpio")}  5 bytes\n$`, "m"),
  );
  assert.equal(readFileSync(world.path("out/guest.cpio"), "utf8"), "tree\n");
});

test("an ingot is shown, exported and shown again as a file with its signer", async (t) => {
  const world = await World.make(t);
  refused(await world.anvil(["ingot", "export", "number"]), "E_NO_KEY");
  await world.anvil(["key", "new"]);
  const shown = await world.anvil(["ingot", "show", "number", "--files", "--plain"]);
  assert.equal(shown.status, 0, shown.stdout + shown.stderr);
  assert.match(shown.stdout, /^number 4\.2 {2}x86_64\n[^]*\n {2}number {2}3 B\n$/m);
  const made = await world.anvil(["ingot", "export", "number", "--out", world.path("out"), "--json"]);
  const { file, key } = JSON.parse(made.stdout) as { file: string; key: string };
  const facts = await world.anvil(["ingot", "show", file, "--json"]);
  const read = JSON.parse(facts.stdout) as { key: string; signer: string | null; name: string };
  const own = await world.anvil(["key", "--json"]);
  assert.deepEqual([read.name, read.key, read.signer], ["number", key, (JSON.parse(own.stdout) as { id: string }).id]);
  refused(await world.anvil(["ingot", "export", "number", "--out", path.join(file, "below")]), "E_READ_ONLY");
  refused(await world.anvil(["ingot", "show", "nothing"]), "E_NO_TARGET");
  refused(await world.anvil(["ingot", "show"]), "E_USAGE", 2);
  refused(await world.anvil(["ingot", "remove", "a", "b", "--data"]), "E_USAGE", 2);
});

test("preflight says of each assumption whether it holds", async (t) => {
  const world = await World.make(t);
  const { status, stdout } = await world.anvil(["preflight", "base", "--list", "--plain"]);
  assert.equal(status, 0, stdout);
  assert.match(
    stdout,
    /\nthing 1\.0\n( {2}holds {2}.*\n)+channel tiny: all [0-9]+ assumptions about 1 sources hold\n$/,
  );
  const last = (await world.anvil(["preflight", "base", "--json"])).stdout.trimEnd().split("\n").at(-1) ?? "";
  const { holds, assumptions } = JSON.parse(last) as {
    holds: boolean;
    assumptions: { file: string; version: string }[];
  };
  assert.equal(holds, true);
  assert.ok(assumptions.some(({ file, version }) => file === "README" && version === "1.0"));
});

test("fetch of what is there has nothing to do, and what cannot be had is told", async (t) => {
  const world = await World.make(t, { ANVIL_DEBIAN_MIRROR: "http://127.0.0.1:1/debian" });
  const there = await world.anvil(["fetch", "base", "--plain", "--channel", "tiny"]);
  // packages of the planted seed are not there
  assert.equal(there.status, 1);
  assert.match(there.stdout, /E_FETCH/);
  refused(await world.anvil(["fetch", "nothing"]), "E_NO_TARGET");
});

test("a key is made, exported, imported and never replaced", async (t) => {
  const world = await World.make(t);
  refused(await world.anvil(["key"]), "E_NO_KEY");
  const made = await world.anvil(["key", "new"]);
  const file = world.path("home/.config/anvil/ingot-key.pem");
  assert.match(made.stdout, new RegExp(`^key [0-9a-f]{16}  ${file}\n$`));
  const exported = (await world.anvil(["key", "export"])).stdout;
  assert.match(exported, /^[0-9a-f]{64}\n$/);
  refused(await world.anvil(["key", "new"]), "E_KEY_EXISTS");
  const other = await World.make(t);
  const taken = await other.anvil(["key", "import", world.write("mine.pub", exported)]);
  assert.match(taken.stdout, /^accepted from the next ISO on: [0-9a-f]{16} {2}\/.*\.pub\n$/);
  assert.equal((await other.anvil(["key", "import", file])).status, 0);
  assert.equal((await other.anvil(["key", "export"])).stdout, exported);
  refused(await world.anvil(["key", "forget"]), "E_USAGE", 2);
});

test("a file that cannot be read is named with the reason in words", async (t) => {
  const world = await World.make(t);
  for (const command of [
    ["key", "import"],
    ["inject", "--to", "ssh://a", "--file"],
    ["boot", "--iso"],
  ]) {
    const none = await world.anvil([...command, "/nope"]);
    refused(none, "E_NO_SUCH_FILE");
    assert.doesNotMatch(none.stderr, /ENOENT/);
    const folder = await world.anvil([...command, world.top]);
    assert.match(folder.stderr, /^E_[A-Z_]+ {2}.*(?:it is a folder|is not a file)\n/);
    assert.doesNotMatch(folder.stderr, /EISDIR/);
  }
});
