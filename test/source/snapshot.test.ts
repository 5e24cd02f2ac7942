import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import os from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { test, type TestContext } from "node:test";
import { Fault } from "../../src/fault/fault.ts";
import { tarEntries } from "../../src/format/tar.ts";
import { checkArchive } from "../../src/source/archive.ts";
import { archiveOf } from "../../src/source/snapshot.ts";

const options = { name: "thing", time: 1_700_000_000 };

function folder(t: TestContext): string {
  const made = mkdtempSync(path.join(os.tmpdir(), "anvil-snapshot-"));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** Writes files by their names. */
function fill(top: string, files: Readonly<Record<string, string>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(top, name)), { recursive: true });
    writeFileSync(path.join(top, name), content);
  }
}

/** Each piece is only good until the next one. */
function collect(top: string): Buffer {
  const pieces: Buffer[] = [];
  for (const piece of archiveOf(top, options)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

async function names(bytes: Buffer): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of tarEntries(Readable.from([bytes]))) found.push(name);
  return found;
}

function fault(code: string, message: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof Fault);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  };
}

test("tar unpacks what the folder holds: content, links, executable bits, long names and empty folders", async (t) => {
  const top = folder(t);
  const long = `${"a-long-folder-name/".repeat(12)}ünïcode ${"x".repeat(120)}`;
  fill(top, { Makefile: "all:\n", "bin/run": "#!/bin/sh\n", empty: "", [long]: "far down\n", block: "b".repeat(512) });
  chmodSync(path.join(top, "bin/run"), 0o4750);
  mkdirSync(path.join(top, "void"));
  symlinkSync("../bin/run", path.join(top, "bin/again"));
  symlinkSync(`/nowhere/${"y".repeat(150)}`, path.join(top, "absolute"));
  linkSync(path.join(top, "Makefile"), path.join(top, "same"));
  const bytes = collect(top);
  await checkArchive(Readable.from([bytes]), "thing");
  const out = folder(t);
  execFileSync("tar", ["-x", "-C", out, "--strip-components=1"], { input: bytes });
  for (const name of ["Makefile", "bin/run", "empty", long, "block", "same"])
    assert.deepEqual(readFileSync(path.join(out, name)), readFileSync(path.join(top, name)), name);
  assert.equal(lstatSync(path.join(out, "bin/run")).mode & 0o7777, 0o755);
  assert.equal(lstatSync(path.join(out, "Makefile")).mode & 0o111, 0);
  assert.equal(lstatSync(path.join(out, "Makefile")).mtimeMs, options.time * 1000);
  assert.ok(lstatSync(path.join(out, "void")).isDirectory());
  assert.equal(readlinkSync(path.join(out, "bin/again")), "../bin/run");
  assert.equal(readlinkSync(path.join(out, "absolute")), `/nowhere/${"y".repeat(150)}`);
});

test("only content counts: times, owners' permissions, the order of creation and the folder's name do not", (t) => {
  const [one, two] = [folder(t), folder(t)];
  fill(one, { a: "1", "b/c": "2", d: "3" });
  fill(two, { d: "3", "b/c": "2", a: "1" });
  utimesSync(path.join(two, "a"), 1, 1);
  chmodSync(path.join(two, "a"), 0o600);
  assert.deepEqual(collect(one), collect(two));
  chmodSync(path.join(two, "a"), 0o700);
  assert.notDeepEqual(collect(one), collect(two));
});

test("what belongs to version control is left out at any depth, be it a folder or a file", async (t) => {
  const top = folder(t);
  fill(top, {
    a: "1",
    ".git/HEAD": "ref",
    "sub/.git": "gitdir: ../.git",
    "sub/b": "2",
    ".hg/x": "",
    ".gitignore": "*.o\n",
  });
  const found = await names(collect(top));
  assert.deepEqual(found, ["thing", "thing/.gitignore", "thing/a", "thing/sub", "thing/sub/b"]);
});

test("a link is kept as a link, and what it leads to outside is not read", async (t) => {
  const [top, other] = [folder(t), folder(t)];
  fill(other, { secret: "not for anybody" });
  fill(top, { a: "1" });
  symlinkSync(other, path.join(top, "out"));
  const bytes = collect(top);
  assert.deepEqual(await names(bytes), ["thing", "thing/a", "thing/out"]);
  assert.ok(!bytes.includes("not for anybody"));
});

test("a folder without a file is refused, also when all there is belongs to version control", (t) => {
  const top = folder(t);
  mkdirSync(path.join(top, "void"));
  fill(top, { ".git/HEAD": "ref" });
  assert.throws(() => collect(top), fault("E_LOCAL_SOURCE", /holds no file/));
});

test("sockets and pipes are refused by name", async (t) => {
  const top = folder(t);
  fill(top, { a: "1", "run/b": "2" });
  execFileSync("mkfifo", [path.join(top, "run/pipe")]);
  assert.throws(() => collect(top), fault("E_LOCAL_SOURCE", /"run\/pipe" is neither file, folder nor link/));
  rmSync(path.join(top, "run/pipe"));
  const server = createServer().listen(path.join(top, "run/socket"));
  t.after(() => server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  assert.throws(() => collect(top), fault("E_LOCAL_SOURCE", /"run\/socket" is neither/));
});

test("names and targets that are not UTF-8 are refused: they would come out as others", (t) => {
  const odd = Buffer.from("na\xefve", "latin1");
  const top = folder(t);
  fill(top, { a: "1" });
  writeFileSync(Buffer.concat([Buffer.from(`${top}/`), odd]), "");
  assert.throws(() => collect(top), fault("E_LOCAL_SOURCE", /is not UTF-8/));
  const second = folder(t);
  fill(second, { a: "1" });
  symlinkSync(odd, path.join(second, "link"));
  assert.throws(() => collect(second), fault("E_LOCAL_SOURCE", /target of the link "link" is not UTF-8/));
});

test("a file that grows, shrinks or goes while it is read stops the copy", (t) => {
  const top = folder(t);
  const file = path.join(top, "a");
  const during = (act: () => void): void => {
    writeFileSync(file, Buffer.alloc(3 << 20, "x"));
    // clocks of file systems are coarse
    utimesSync(file, 1, 1);
    let pieces = 0;
    for (const piece of archiveOf(top, options)) if (piece.length > 4096 && ++pieces === 1) act();
  };
  const isChanged = fault("E_SOURCE_CHANGED", /"a" in the source of thing was changed/);
  assert.throws(() => during(() => writeFileSync(file, "short")), isChanged);
  assert.throws(() => during(() => writeFileSync(file, Buffer.alloc(4 << 20, "x"))), isChanged);
  assert.throws(() => during(() => writeFileSync(file, Buffer.alloc(3 << 20, "y"))), isChanged);
  fill(top, { b: "2" });
  const listed = archiveOf(top, options);
  listed.next();
  listed.next();
  rmSync(path.join(top, "b"));
  assert.throws(() => [...listed], fault("E_SOURCE_CHANGED", /"b" in the source of thing/));
});
