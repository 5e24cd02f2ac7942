/** The ingot `cc` in the Monolith: the compiler that built itself compiles, and its tools find their data. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cc } from "../../recipes/ingots/cc.ts";
import { Ingot } from "../../src/inject/ingot-file.ts";
import { inject } from "../../src/inject/inject.ts";
import { requireKey } from "../../src/inject/key-file.ts";
import { machineDestination } from "../../src/inject/transport.ts";
import type { Digest } from "../../src/recipe/derivation.ts";
import { boot, monolith, output } from "../boot/monolith.ts";
import { project } from "../this-project.ts";

const LONG = { timeoutMs: 300_000 };
const PROGRAMS = "ar as awk bash bison c++ cc flex g++ gawk gcc ld m4 make nm objcopy perl pkgconf strip zstd";

/** Text of shell that writes a file. */
const file = (name: string, text: string): string => `cat > ${name} <<'END'\n${text.trim()}\nEND\n`;

const hello = file(
  "hello.cc",
  `
#include <iostream>
#include <map>
#include <stdexcept>
#include <thread>
int main() {
  std::map<int, std::string> caught;
  std::thread([&] {
    try { throw std::out_of_range("thrown and caught"); } catch (const std::exception &e) { caught[42] = e.what(); }
  }).join();
  std::cout << caught.at(42) << std::endl;
}`,
);

const calculator =
  file(
    "parse.y",
    `
%{
#include <stdio.h>
int yylex(void);
static void yyerror(const char *why) { puts(why); }
%}
%token NUMBER
%left '+'
%left '*'
%%
line: sum { printf("%d\\n", $1); };
sum: sum '+' sum { $$ = $1 + $3; } | sum '*' sum { $$ = $1 * $3; } | NUMBER;
%%
int main(void) { return yyparse(); }`,
  ) +
  file(
    "scan.l",
    `
%{
#include <stdlib.h>
#include "parse.h"
%}
%option noyywrap nounput noinput
%%
[0-9]+ { yylval = atoi(yytext); return NUMBER; }
[+*] return *yytext;
[ \\n] ;`,
  );

/** A source archive as it was downloaded, and its size. */
async function sourceArchive(component: string): Promise<{ readonly path: string; readonly bytes: number }> {
  const store = project.store;
  const pin = (await project.selectChannel("auto")).channel.components[component];
  assert.ok(pin?.sha256 !== undefined && pin.size !== undefined);
  return { path: store.sources.path(pin.sha256 as Digest), bytes: pin.size };
}

test("with the ingot cc the Monolith compiles: its own programs, and zlib from its source", async (t) => {
  const zlib = await sourceArchive("zlib");
  const { iso } = await monolith();
  const disks = [{ path: zlib.path, bus: "virtio", readOnly: true }] as const;
  const machine = await boot(t, { cdrom: iso, ingot: true, disks });
  const inside = async (command: string): Promise<string> =>
    (await machine.console.succeed(`. /etc/profile; cd /tmp; ${command}`, LONG)).trim();

  await t.test("it becomes active when its health check has compiled and run two programs", async () => {
    const ingot = await Ingot.ofBody(await output(cc.body), requireKey(project.keys));
    const phases: string[] = [];
    const facts = await inject(ingot, machineDestination(machine), {
      allowDowngrade: false,
      signal: new AbortController().signal,
      on: (event) => event.type === "phase" && phases.push(event.phase),
    });
    await ingot.close();
    assert.equal(facts["state"], "active");
    assert.ok(phases.includes("health"), phases.join());
    for (const program of PROGRAMS.split(" "))
      assert.equal(await inside(`command -v ${program}`), `/ingots/bin/${program}`);
  });

  await t.test("C and C++ programs are static-PIE, and exceptions, threads and the library work", async () => {
    await inside(`${hello} c++ -O2 -o hello hello.cc`);
    assert.equal(await inside("./hello"), "thrown and caught");
    assert.match(await inside("readelf -h hello"), /Type: +DYN/);
    assert.doesNotMatch(await inside("readelf -lW hello"), /INTERP/);
    assert.match(await inside("readelf -p .comment hello"), /ANVIL-CC/);
  });

  await t.test("compiler, bison, flex and perl find what is theirs beside themselves, not on PATH", async () => {
    const alone = "env -i PATH=/usr/bin /ingots/cc/active/usr/bin";
    await inside(`${calculator} ${alone}/bison -o parse.c --header=parse.h parse.y && ${alone}/flex -o scan.c scan.l`);
    await inside(`${alone}/gcc -O2 -Wall -Werror -Wno-unused-function -o calculator parse.c scan.c`);
    assert.equal(await inside("echo '2 + 4 * 10' | ./calculator"), "42");
    const script = "use POSIX qw(floor); use List::Util qw(sum); print sum(map { floor($_) } 20.5, 22.5)";
    assert.equal(await inside(`${alone}/perl -e '${script}'`), "42");
  });

  await t.test("the other tools work", async () => {
    assert.equal(await inside("echo 'define(x, 6)eval(x * 7)' | m4"), "42");
    assert.equal(await inside("gawk 'BEGIN { print strftime(\"%Y\", 0, 1) }'"), "1970");
    assert.equal(await inside("bash -c 'a=(6 7); echo $((a[0] * a[1]))'"), "42");
    assert.equal(await inside("echo 42 | zstd | zstd -d"), "42");
    assert.match(await inside("pkg-config --version"), /^1\./);
  });

  await t.test("zlib is configured, made and tested by its own makefile", async () => {
    await inside(`mkdir zlib && head -c ${zlib.bytes} /dev/vda | tar -xz -C zlib --strip-components=1`);
    const said = await inside("cd zlib && ./configure --static && make && make test");
    assert.match(said, /zlib test OK/);
  });
});
