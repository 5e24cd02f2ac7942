import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { prove, type ProofResult, type ProofTools } from "../../src/forge/proofs.ts";
import { globToRegExp } from "../../src/forge/proofs/patterns.ts";
import {
  atMost,
  builtByAnvilCc,
  rustByAnvilCc,
  contains,
  exists,
  isStatic,
  isStaticPie,
  lacks,
  noBuildPaths,
  runs,
  type Proof,
} from "../../src/recipe/proof.ts";
import { buildAr, buildElf } from "../format/elf-builder.ts";

const anvil = "GCC: (ANVIL-CC 1) 14.2.0";
const debian = "GCC: (Debian 12.2.0-14) 12.2.0";
const goodProgram = { type: 3, needed: [], relro: true, stack: 6, comments: [anvil] };

const noRun: ProofTools = {
  run: () => Promise.reject(new Error("no program was to be run")),
  storePath: "/home/somebody/.cache/anvil/store",
};

/** Makes an output from file contents (a string that starts with "->" is a link) and proves one thing of it. */
async function proof(
  t: TestContext,
  what: Proof,
  files: Record<string, string | Uint8Array>,
  tools: ProofTools = noRun,
): Promise<ProofResult> {
  const dir = mkdtempSync(path.join(tmpdir(), "anvil-proofs-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(dir, name);
    mkdirSync(path.dirname(file), { recursive: true });
    if (typeof content === "string" && content.startsWith("->")) symlinkSync(content.slice(2), file);
    else writeFileSync(file, content);
  }
  const [result] = await prove([what], dir, tools);
  assert.ok(result !== undefined);
  assert.equal(result.proof, what);
  return result;
}

function passes(result: ProofResult): void {
  assert.equal(result.ok, true, result.detail);
}

function fails(result: ProofResult, detail: RegExp): void {
  assert.equal(result.ok, false, result.detail);
  assert.match(result.detail, detail);
}

test("patterns match as documented", () => {
  const match = (pattern: string, name: string): boolean => globToRegExp(pattern).test(name);
  assert.ok(match("usr/*/zpool", "usr/sbin/zpool"));
  assert.ok(!match("usr/*/zpool", "usr/local/sbin/zpool"));
  assert.ok(match("usr/**/zpool", "usr/local/sbin/zpool"));
  assert.ok(match("usr/**/zpool", "usr/zpool"));
  assert.ok(match("**", "a/b/.c"));
  assert.ok(match("**/*.a", "libc.a"));
  assert.ok(match("usr/lib/**", "usr/lib/x/y"));
  assert.ok(!match("usr/lib/**", "usr/libexec/x"));
  assert.ok(match("a.b+(c)", "a.b+(c)"));
  assert.ok(!match("a.b", "axb"));
  assert.ok(!match("b", "a/b"));
});

test("exists: files, folders and links are found, absence is named", async (t) => {
  passes(await proof(t, exists("usr/bin/*", "usr"), { "usr/bin/a": "", "usr/bin/b": "->a" }));
  fails(await proof(t, exists("usr/bin/a", "usr/bin/c"), { "usr/bin/a": "" }), /nothing is at usr\/bin\/c/);
  fails(await proof(t, exists("**"), {}), /nothing is at \*\*/);
});

test("exists: a relative link must lead to something in the output, an absolute one may be another's", async (t) => {
  fails(await proof(t, exists("sh"), { sh: "->busybox" }), /sh is a link to busybox/);
  fails(await proof(t, exists("loop"), { loop: "->loop" }), /loop is a link/);
  passes(await proof(t, exists("etc/mtab"), { "etc/mtab": "->/proc/self/mounts" }));
});

test("static: a program without loader and libraries passes, each of the two is named", async (t) => {
  const dynamic = buildElf({ interpreter: "/lib/ld-musl.so", needed: ["libc.so"] });
  passes(await proof(t, isStatic("bin/*"), { "bin/a": buildElf({ type: 2 }), "bin/script": "#!/bin/sh\n" }));
  const result = await proof(t, isStatic("bin/*"), { "bin/a": buildElf({ type: 2 }), "bin/b": dynamic });
  fails(result, /bin\/b asks for the loader \/lib\/ld-musl\.so; bin\/b needs libc\.so/);
});

test("static: a pattern without a linked ELF file fails", async (t) => {
  fails(await proof(t, isStatic("bin/a"), { "bin/a": "#!/bin/sh\n" }), /no linked ELF file is at bin\/a/);
  fails(await proof(t, isStatic("bin/a"), { "bin/a": buildElf({ type: 1 }) }), /no linked ELF file/);
  const files = { "bin/a": buildElf({ type: 2 }) };
  fails(await proof(t, isStatic("bin/a", "bin/b"), files), /no linked ELF file is at bin\/b/);
});

test("static: links are followed within the output and never out of it", async (t) => {
  const program = buildElf({ type: 2 });
  passes(await proof(t, isStatic("bin/sh"), { "bin/sh": "->/usr/bin/busybox", "usr/bin/busybox": program }));
  const merged = { "usr/bin/busybox": program, bin: "->usr/bin", sh: "->bin/../bin/busybox" };
  passes(await proof(t, isStatic("sh"), merged));
  fails(await proof(t, isStatic("node"), { node: `->${process.execPath}` }), /no linked ELF file/);
});

test("static: the running node, copied into the output, is found dynamic", async (t) => {
  const dir = mkdtempSync(path.join(tmpdir(), "anvil-proofs-"));
  t.after(() => rmSync(dir, { recursive: true }));
  copyFileSync(process.execPath, path.join(dir, "node"));
  const [result] = await prove([isStatic("node")], dir, noRun);
  assert.ok(result !== undefined);
  fails(result, /node asks for the loader .*; node needs .*libc/);
});

test("static: a truncated ELF file is a failed proof, not an exception", async (t) => {
  const half = buildElf({ type: 2 }).subarray(0, 80);
  fails(await proof(t, isStatic("a"), { a: half }), /a cannot be read as ELF: .*beyond the end/);
});

test("static-pie: every property is asked for", async (t) => {
  passes(await proof(t, isStaticPie("a"), { a: buildElf(goodProgram) }));
  fails(
    await proof(t, isStaticPie("a"), { a: buildElf({ ...goodProgram, type: 2 }) }),
    /a is not position-independent/,
  );
  fails(await proof(t, isStaticPie("a"), { a: buildElf({ ...goodProgram, relro: false }) }), /a has no PT_GNU_RELRO/);
  fails(await proof(t, isStaticPie("a"), { a: buildElf({ ...goodProgram, stack: 7 }) }), /a has an executable stack/);
  fails(await proof(t, isStaticPie("a"), { a: buildElf({ ...goodProgram, needed: ["libc.so"] }) }), /a needs libc\.so/);
});

test("built-by-anvil-cc: programs, objects and archive members are looked at", async (t) => {
  const object = buildElf({ type: 1, comments: [anvil], sourceFile: "a.c" });
  const files = { a: buildElf(goodProgram), "a.o": object, "lib.a": buildAr({ "a.o": object }), "a.txt": debian };
  const result = await proof(t, builtByAnvilCc(), files);
  passes(result);
  assert.equal(result.detail, "3 ELF files");
});

test("built-by-anvil-cc: another compiler is named, also beside ANVIL-CC and within an archive", async (t) => {
  const mixed = buildElf({ ...goodProgram, comments: [anvil, debian] });
  fails(await proof(t, builtByAnvilCc(), { a: mixed }), /a was compiled by GCC: \(Debian 12\.2\.0-14\) 12\.2\.0$/);
  const foreign = buildElf({ type: 1, comments: ["rustc version 1.80.0"] });
  const archive = buildAr({ "good.o": buildElf({ type: 1, comments: [anvil] }), "bad.o": foreign });
  fails(
    await proof(t, builtByAnvilCc("lib.a"), { "lib.a": archive }),
    /^lib\.a\(bad\.o\) was compiled by rustc version 1\.80\.0$/,
  );
});

test("built-by-anvil-cc: a linker's or assembler's comment is neutral, but alone it proves nothing", async (t) => {
  passes(await proof(t, builtByAnvilCc(), { a: buildElf({ ...goodProgram, comments: [anvil, "Linker: LLD 18"] }) }));
  const nobody = buildElf({ ...goodProgram, comments: ["Linker: LLD 18"] });
  fails(await proof(t, builtByAnvilCc(), { a: nobody }), /a does not say who compiled it/);
  fails(await proof(t, builtByAnvilCc(), { a: buildElf({ type: 2 }) }), /a does not say who compiled it/);
});

test("rust-by-anvil-cc: both compilers must be there, and no third", async (t) => {
  const program = (...comments: string[]): Record<string, Uint8Array> => ({
    a: buildElf({ ...goodProgram, comments }),
  });
  passes(await proof(t, rustByAnvilCc("a"), program(anvil, "rustc version 1.85.0 (abc)")));
  fails(await proof(t, rustByAnvilCc("a"), program(anvil)), /a does not name .*rustc/);
  fails(await proof(t, rustByAnvilCc("a"), program("rustc version 1.85.0")), /a does not name ANVIL-CC/);
  fails(
    await proof(t, rustByAnvilCc("a"), program(anvil, debian, "rustc version 1.85.0")),
    /a was compiled by GCC: \(Debian/,
  );
});

test("built-by-anvil-cc: an object that was assembled by hand may be silent beside others that are not", async (t) => {
  const compiled = buildElf({ type: 1, comments: [anvil], sourceFile: "a.c" });
  const assembled = buildElf({ type: 1 });
  passes(await proof(t, builtByAnvilCc(), { "crti.o": assembled, "a.o": compiled }));
  passes(await proof(t, builtByAnvilCc(), { "lib.a": buildAr({ "a.o": compiled, "s.o": assembled }) }));
  fails(await proof(t, builtByAnvilCc(), { "crti.o": assembled }), /nothing at \*\* says who compiled it/);
  const silent = buildElf({ type: 1, sourceFile: "a.c" });
  fails(await proof(t, builtByAnvilCc(), { "a.o": compiled, "b.o": silent }), /^b\.o does not say who compiled it$/);
});

test("built-by-anvil-cc: an archive whose comments were stripped off fails, also beside a good one", async (t) => {
  const good = buildAr({ "a.o": buildElf({ type: 1, comments: [anvil] }) });
  const stripped = buildAr({ "a.o": buildElf({ type: 1 }), "b.o": buildElf({ type: 1 }) });
  const result = await proof(t, builtByAnvilCc(), { "good.a": good, "stripped.a": stripped });
  fails(result, /^stripped\.a has no member that says who compiled it$/);
});

test("built-by-anvil-cc: nothing to look at and a damaged archive fail", async (t) => {
  fails(await proof(t, builtByAnvilCc(), { a: "text" }), /no ELF file is at \*\*/);
  fails(await proof(t, builtByAnvilCc(), { "a.a": buildAr({ "a.txt": Buffer.from("x") }) }), /no ELF file/);
  const cut = buildAr({ "a.o": buildElf({ type: 1, comments: [anvil] }) }).subarray(0, 100);
  fails(await proof(t, builtByAnvilCc(), { "a.a": cut }), /a\.a cannot be read as ELF: ar member .* is cut off/);
});

for (const text of [
  "/build/zlib/inflate.c",
  "x=/deps/zlib",
  '"/tools/cc/usr/bin/gcc"',
  "\0/in/kernel/vmlinux\0",
  "-ffile-prefix-map=/out/=",
  "gcc -O2 -I/deps/zlib/usr/include",
  "-L/deps/zlib/usr/lib",
  "-Wl,-rpath,/deps/zlib/usr/lib",
  "cc -isystem/tools/cc/include",
  "prefix:/home/somebody/.cache/anvil/store/ab12",
  "x/home/somebody/.cache/anvil/store",
  "éß/build/x",
]) {
  test(`no-build-paths: finds ${JSON.stringify(text)}`, async (t) => {
    fails(await proof(t, noBuildPaths(), { "usr/a": text }), /^usr\/a holds “.*”$/);
  });
}

for (const text of [
  "linux/in/route.h",
  "include/linux/in/x.h",
  "./build/x",
  "../out/x",
  "plugin/tools/x",
  "$(srctree)/tools/objtool",
  "${prefix}/in/xyz",
  "~/build/x",
  "*/out/x",
  "a-/deps/x",
  "http://build/x",
  "/in/ and /in/\0",
  "/building /output /outer/ /intro/",
  "/home/somebody/.cache/anvil/log",
]) {
  test(`no-build-paths: passes over ${JSON.stringify(text)}`, async (t) => {
    passes(await proof(t, noBuildPaths(), { "usr/a": text }));
  });
}

test("no-build-paths: a path across the borders of what is read at once is found and shown whole", async (t) => {
  const chunk = 1 << 20;
  for (let shift = -12; shift <= 2; shift++) {
    const bytes = Buffer.alloc(3 * chunk, 0xff);
    bytes.write("\0src=/build/zlib/deflate.c\0", 2 * chunk + shift - 5, "latin1");
    fails(await proof(t, noBuildPaths(), { a: bytes }), /a holds “src=\/build\/zlib\/deflate\.c”/);
    bytes.write("x", 2 * chunk + shift - 1, "latin1");
    passes(await proof(t, noBuildPaths(), { a: bytes }));
  }
});

test("no-build-paths: the end of a file and the target of a link count", async (t) => {
  fails(await proof(t, noBuildPaths(), { a: `${"x".repeat(5000)} /build/` }), /\/build\/”/);
  fails(await proof(t, noBuildPaths(), { a: "->/deps/zlib/usr/lib/libz.a" }), /a leads to “\/deps\/zlib/);
});

test("no-build-paths: exceptions are left out, and with all files left out nothing is proven", async (t) => {
  const files = { "usr/share/log": "/build/x", "usr/bin/a": "clean" };
  passes(await proof(t, noBuildPaths("usr/share/**"), files));
  fails(await proof(t, noBuildPaths("**"), files), /no file to search/);
  fails(await proof(t, noBuildPaths(), {}), /no file to search/);
});

test("no-build-paths: of many hits the first five are shown and the rest counted", async (t) => {
  const files = Object.fromEntries(Array.from({ length: 8 }, (_, index) => [`f${index}`, "/build/x"]));
  fails(await proof(t, noBuildPaths(), files), /^f0 holds “\/build\/x”; f1 .*; f4 .*; and 3 more$/);
});

test("runs: status and output decide, and the program is called by its path in the sandbox", async (t) => {
  const calls: (readonly string[])[] = [];
  const answer = (status: number, output: string): ProofTools => ({
    ...noRun,
    run: (argv) => {
      calls.push(argv);
      return Promise.resolve({ status, output });
    },
  });
  const what = runs("sbin/zpool", "version -j", /^zfs-2\.[0-9]+/);
  const files = { "sbin/zpool": buildElf(goodProgram) };
  passes(await proof(t, what, files, answer(0, "warning: no module\nzfs-2.3.2\n")));
  assert.deepEqual(calls, [["/out/sbin/zpool", "version", "-j"]]);
  fails(await proof(t, what, files, answer(1, "zfs-2.3.2\n")), /exits with 1: zfs-2\.3\.2/);
  fails(await proof(t, what, files, answer(0, "zfs 2.3.2\n")), /prints no .*: zfs 2\.3\.2/);
  fails(await proof(t, what, {}, noRun), /no program is at sbin\/zpool/);
});

test("contains: one line of every file must match", async (t) => {
  const what = contains("etc/os-release", /^ID=anvil$/);
  const result = await proof(t, what, { "etc/os-release": "NAME=AnvilOS\nID=anvil\n" });
  passes(result);
  assert.equal(result.detail, "ID=anvil");
  fails(await proof(t, what, { "etc/os-release": "ID=anvilos\n" }), /no line of etc\/os-release matches/);
  fails(await proof(t, what, {}), /no file is at etc\/os-release/);
  fails(await proof(t, contains("*", /x/), { a: "x", b: "y" }), /no line of b/);
});

test("lacks: nothing that matches is in any file, text or program", async (t) => {
  const what = lacks("usr/bin/*", /exit_io_in|Running v/);
  passes(await proof(t, what, { "usr/bin/a": "quiet", "usr/share/b": "Running v1" }));
  const program = Buffer.concat([Buffer.from([0x7f, 0xff, 0]), Buffer.from("exit_io_in"), Buffer.from([0])]);
  fails(await proof(t, what, { "usr/bin/a": "quiet", "usr/bin/b": program }), /^usr\/bin\/b holds “exit_io_in”$/);
  fails(await proof(t, what, { "usr/share/b": "" }), /no file is at usr\/bin\/\*/);
});

test("at-most: a file that is too large says by how much", async (t) => {
  passes(await proof(t, atMost("a", 3), { a: "abc" }));
  fails(await proof(t, atMost("a", 2), { a: "abc" }), /a has 3 bytes, 1 too many/);
  fails(await proof(t, atMost("b", 2), { a: "abc" }), /no file is at b/);
});

test("a file that may not be read fails the proof that needs it", { skip: process.getuid?.() === 0 }, async (t) => {
  const dir = mkdtempSync(path.join(tmpdir(), "anvil-proofs-"));
  t.after(() => rmSync(dir, { recursive: true }));
  writeFileSync(path.join(dir, "a"), "x");
  chmodSync(path.join(dir, "a"), 0);
  for (const result of await prove([noBuildPaths(), contains("a", /x/), builtByAnvilCc()], dir, noRun)) {
    fails(result, /a is not readable/);
  }
});

test("all proofs are carried out, in order, also after one that failed", async (t) => {
  const dir = mkdtempSync(path.join(tmpdir(), "anvil-proofs-"));
  t.after(() => rmSync(dir, { recursive: true }));
  writeFileSync(path.join(dir, "a"), "");
  const results = await prove([exists("b"), exists("a"), atMost("a", 0)], dir, noRun);
  assert.deepEqual(
    results.map((result) => result.ok),
    [false, true, true],
  );
});
