import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { sha256 } from "../../src/forge/key.ts";
import type { Key } from "../../src/recipe/derivation.ts";
import { onTerminal } from "./pty.ts";
import { ended, TinyProject } from "./tiny-project.ts";

const cleaning: (() => void)[] = [];
let project: TinyProject;
let cache: string;

before(async () => {
  project = await TinyProject.make({ after: (act) => cleaning.push(act) });
  cache = project.store.paths.top;
  assert.equal((await project.anvil(["forge", "--channel", "debian"])).status, 0);
});

after(() => cleaning.forEach((act) => act()));

const old = sha256("an older recipe") as string as Key;
const dead = "1.1.11111111-2222-3333-4444-555555555555";

/** Everything that a clean-up is for, by its path. */
let rubbish: string[];

function put(name: string, content = "12345"): string {
  const file = path.join(cache, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
  return name;
}

beforeEach(async () => {
  const tree = path.join(project.store.workFolder("old"), "out");
  mkdirSync(tree);
  writeFileSync(path.join(tree, "file"), "12345");
  await project.store.outputs.add(tree, {
    key: old,
    name: "old",
    version: "1",
    seconds: 0,
    proofs: [],
    references: [],
  });
  const digest = sha256("no source of any plan");
  rubbish = [
    `store/${old}.json`,
    `store/${old.slice(0, 32)}-old/file`,
    put(`sources/${digest}`),
    put(`sources/${digest}.checked`),
    put(`sources/${sha256("half")}.part`),
    put(`log/old-${old.slice(0, 16)}.log`),
    put(`failed/broken-${old.slice(0, 16)}/build/file`),
    put(`store/${sha256("stray").slice(0, 32)}-stray/file`),
    put(`tmp/${dead}.work-x/file`),
    put(`locks/key.${dead}`),
    put(`alive/${dead}.4026531836`),
  ];
  rmSync(path.join(cache, "failed/other"), { recursive: true, force: true });
  mkdirSync(path.join(cache, "failed/other"));
  symlinkSync("/", path.join(cache, "failed/other/link"));
  rubbish.push("failed/other/link");
});

/** Every path in the cache folder but for the work of this process, with size and time. */
function listing(): string[] {
  return readdirSync(cache, { recursive: true, withFileTypes: true })
    .filter(
      (entry) =>
        !entry.parentPath.startsWith(path.join(cache, "store")) || entry.parentPath === path.join(cache, "store"),
    )
    .map((entry) => {
      const file = path.join(entry.parentPath, entry.name);
      return entry.isFile() ? `${file} ${statSync(file).size} ${statSync(file).mtimeMs}` : file;
    })
    .sort();
}

test("what would go is said, and nothing goes", async () => {
  const before = listing();
  const { status, stdout, stderr } = await project.anvil(["gc", "--dry-run"]);
  assert.deepEqual([status, stderr], [0, ""]);
  for (const word of ["old 1", "download", "log old-", "kept sandbox broken-", "half-made", "left by a killed process"])
    assert.match(stdout, new RegExp(`^would remove {2}${word}`, "m"));
  assert.doesNotMatch(stdout, /^removed/m);
  assert.deepEqual(listing(), before);
});

test("all of it goes, what the plan needs stays, and then there is nothing to report", async () => {
  const kept = [...project.store.outputs.records()].filter(({ key }) => key !== old);
  const logs = readdirSync(project.store.paths.logs).filter((name) => !name.startsWith("old-"));
  const { status, stdout } = await project.anvil(["gc", "--json"]);
  assert.equal(status, 0);
  const { removed, bytes } = JSON.parse(stdout) as { removed: string[]; bytes: number };
  assert.ok(removed.some((name) => name.startsWith("log old-")));
  assert.ok(bytes >= 8 * 5, String(bytes));
  assert.deepEqual(
    rubbish.filter((name) => existsSync(path.join(cache, name))),
    [],
  );
  assert.deepEqual(project.store.outputs.records(), kept);
  assert.deepEqual(readdirSync(project.store.paths.logs), logs);
  assert.ok(existsSync("/etc"), "links in what is deleted are not followed");
  const again = await project.anvil(["gc"]);
  assert.equal(again.stdout, "0.0 MB\n");
  assert.match((await project.anvil(["forge", "--channel", "debian"])).stdout, /nothing to do/);
});

test("with --keep the least recently used goes until the rest fits, whatever a plan needs", async () => {
  const { outputs } = project.store;
  const [oldRecord] = outputs.records().filter((record) => record.key === old);
  const held = outputs.records().reduce((sum, { bytes }) => sum + bytes, 0);
  const sources = readdirSync(project.store.paths.sources, { withFileTypes: true })
    .filter(({ name }) => /^[0-9a-f]{64}$/.test(name))
    .reduce((sum, { name }) => sum + statSync(path.join(project.store.paths.sources, name)).size, 0);
  assert.ok(oldRecord !== undefined);
  // this process has a work folder, and no other would clear up without knowing what for
  await project.store.uses.announce({ keys: new Set(), sources: new Set() });
  utimesSync(path.join(project.store.paths.outputs, `${old}.json`), 60, 60);
  const dry = await project.anvil(["gc", "--keep", String(held + sources - 1), "--dry-run"]);
  assert.match(dry.stdout, /^would remove {2}old 1\n/);
  assert.doesNotMatch(dry.stdout, /base|iso|seed/);
  assert.ok(outputs.has(old));
  const { status, stdout } = await project.anvil(["gc", "--keep", String(held + sources - 1)]);
  assert.equal(status, 0);
  assert.match(stdout, /^removed {2}old 1\n/);
  assert.equal(outputs.has(old), false);
  assert.match((await project.anvil(["forge", "--channel", "debian"])).stdout, /nothing to do/);
});

test("a size that is none is refused", async () => {
  for (const size of ["", "much", "-1", "5X", "1.5G"]) {
    const { status, stderr } = await project.anvil(["gc", `--keep=${size}`]);
    assert.equal(status, 2);
    assert.match(stderr, /^E_USAGE {2}--keep wants a size such as 20G or 500M/);
  }
});

test("a name that somebody else chose is shown as text", async () => {
  put("failed/\x1b[31mred\u009b2J/file");
  const { stdout } = await project.anvil(["gc"]);
  assert.match(stdout, /^removed {2}kept sandbox red of a failed step$/m);
});

test("a log is printed byte for byte into a file, and nobody else can read it", async () => {
  const { logs } = project.store.paths;
  const [name = ""] = readdirSync(logs).filter((each) => each.startsWith("base-"));
  assert.equal(statSync(logs).mode & 0o777, 0o700);
  assert.equal(statSync(path.join(logs, name)).mode & 0o777, 0o600);
  assert.equal(statSync(path.join(logs, "last-run.jsonl")).mode & 0o777, 0o600);
  const bytes = "\x1b[31mred\r\n\x9b2J no line feed at the end";
  appendFileSync(path.join(logs, name), bytes, "latin1");
  const { stdout } = await project.anvil(["log", "base"]);
  assert.equal(stdout, readFileSync(path.join(logs, name), "utf8"));
  assert.ok(stdout.includes("\x1b[31mred\r\n"));

  const seed = project.store.outputs.records().find((record) => record.name === "seed-base");
  assert.ok(seed !== undefined);
  const argv = [process.execPath, path.join(project.folder, "bin/anvil"), "log", "base"];
  const { command, args } = onTerminal(project.store.outputs.path(seed.key), argv);
  const shown = await ended(spawn(command, args, { env: { HOME: project.home } }));
  assert.deepEqual([shown.status, shown.stderr], [0, ""]);
  assert.match(shown.stdout, /^base says 42\r\nred\r\n.*no line feed at the end$/);
  assert.doesNotMatch(shown.stdout, /[\x1b\x9b]/);
});
