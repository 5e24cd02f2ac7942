/** Looking at what recipes take for granted of sources, before anything is compiled. Archives are made here. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { linux } from "../../recipes/linux.ts";
import { seedBase } from "../../recipes/seed.ts";
import { findingsOf, planPreflight, requireAll } from "../../src/forge/preflight.ts";
import { assume, type Assumptions } from "../../src/recipe/assumption.ts";
import type { Digest } from "../../src/recipe/derivation.ts";
import { configuresOf, type Finding } from "../../src/recipe/preflight.ts";
import { assumptionsOf, source, type Recipe } from "../../src/recipe/recipe.ts";
import type { TarItem } from "../format/tar-builder.ts";
import { projectRoot, Rig, step } from "./rig.ts";
import { tarball, type Source } from "./sources.ts";

const WORDS = "system/preflight/words";

async function rigWith(t: TestContext, sources: Readonly<Record<string, Source>>): Promise<Rig> {
  const pins = Object.fromEntries(Object.entries(sources).map(([name, { pin }]) => [name, pin]));
  const rig = await Rig.make(t, { components: pins });
  rig.projectFile(WORDS, readFileSync(path.join(projectRoot, WORDS), "utf8"));
  for (const { pin, bytes } of Object.values(sources))
    writeFileSync(rig.store.sources.path(pin.sha256 as Digest), bytes);
  return rig;
}

async function look(rig: Rig, ...recipes: readonly Recipe[]): Promise<{ findings: Finding[]; built: number }> {
  const options = { project: rig.project, channel: rig.channel, pins: new Map() };
  const preflight = planPreflight(recipes, seedBase, options);
  const run = await rig.realise(preflight.evaluation, { keepGoing: true });
  return { findings: findingsOf(preflight, run.outcome, rig.store), built: run.outcome.built.length };
}

const broken = (findings: readonly Finding[]): string[] =>
  findings.filter(({ holds }) => !holds).map(({ component, file, what }) => `${component} ${file} ${what}`);

/** A recipe whose script must never run. */
const user = (name: string, assumes: Assumptions, script = "exit 9"): Recipe =>
  step(`user-of-${name}`, script, { source: source(name), assumes });

const items: TarItem[] = [
  { name: "META", data: "Linux-Maximum: 6.14\n" },
  { name: "loops.c", data: "for (l = 0; l < 32; l++)\nfor (i = 0; i < 5; i++)\nfor (k = 0; k < 5; k++)\n" },
  { name: "Makefile", data: "all: tool\ntool: tool.o\n\tcc\n.PHONY: all\nname = value\n" },
  { name: "Makefile.in", data: "prog$(EXEEXT): $(x)\n@COND_TRUE@install-hook: x\nlib/a.la: b\n" },
  { name: "configure", data: "ac_user_opts='\nenable_option_checking\nenable_nls\nwith_zlib\n'\n", mode: 0o755 },
  { name: "lib/configure", data: "ac_user_opts='\nenable_pie\nwith_last'\n", mode: 0o755 },
  { name: "plain/configure", data: "case $1 in --disable-shared) ;; esac\n", mode: 0o755 },
];

test("what holds is counted, each once, and nothing of the recipe is run", async (t) => {
  const rig = await rigWith(t, { data: await tarball("data", items) });
  const data = assume("data");
  const holding: Assumptions = [
    data.once("loops.c", "l < 32"),
    data.text("loops.c", "< 5"),
    data.mention(["absent", "META"], "Linux-Maximum"),
    data.paths("lib/*", "META"),
    data.targets("Makefile", "all", "tool"),
    data.targets("Makefile.in", "prog", "install-hook", "lib/a.la"),
    data.tolerated("--without-new"),
    data.success("it is made for 6.14", "grep -q 6.14 META"),
    data.prepared("it is got ready", "touch ready"),
    data.paths("ready"),
  ];
  const configure =
    "cd /build/data\n./configure --prefix=/usr --disable-nls \\\n  --with-zlib=no --enable-pie --with-last --without-new --enable-static --disable-shared\n" +
    "cd plain\n./configure --disable-shared\nexit 9\n";
  const one = user("data", holding, configure);
  const { findings, built } = await look(rig, one, user("data", [data.once("loops.c", "l < 32")]));
  assert.deepEqual(broken(findings), []);
  // archive, 2 texts, 1 mention, 3 paths, 5 rules, 2 scripts, 4 switches
  assert.equal(findings.length, 18);
  assert.equal(built, 1);
  assert.equal((await look(rig, one)).built, 0, "the same are not looked at again");
  assert.equal((await look(rig, one, user("data", [data.paths("Makefile")]))).built, 1);
});

test("what does not hold is named, with its file, and what a script said", async (t) => {
  const rig = await rigWith(t, { data: await tarball("data", items) });
  const data = assume("data");
  const { findings } = await look(
    rig,
    user(
      "data",
      [
        data.once("loops.c", "l < loops"),
        data.once("loops.c", "< 5"),
        data.text("gone.c", "a text\nof two lines"),
        data.mention(["META", "absent"], "Linux-Minimum"),
        data.paths("lib/*.c"),
        data.targets("Makefile", "too", "name", "tool.o"),
        data.targets("gone.mk", "all"),
        data.success("it's made for 6.15", "echo looking\nfalse\necho not reached\n"),
        data.once("META", "Linux-Maximum"),
      ],
      "cd data\n./configure --disable-nl --with-pie --with-zlib\n../data/gone/configure --enable-x\n",
    ),
  );
  assert.deepEqual(broken(findings), [
    "data loops.c once, not 0 times: l < loops",
    "data loops.c once, not 2 times: < 5",
    "data gone.c the file is there, with: a text of two lines",
    "data META absent one of them has: Linux-Minimum",
    "data lib/*.c is there",
    "data Makefile has a rule for too",
    "data Makefile has a rule for name",
    "data Makefile has a rule for tool.o",
    "data gone.mk has a rule for all",
    "data configure knows --disable-nl",
    "data configure knows --with-pie",
    "data gone/configure knows --enable-x",
    "data . it's made for 6.15",
  ]);
  assert.deepEqual(findings.at(-1)?.said, ["looking"]);
  assert.throws(() => requireAll(findings, "far"), {
    code: "E_PREFLIGHT",
    message: `13 of ${findings.length} assumptions about the sources do not hold`,
    hint: /^anvil preflight --channel far /,
  });
});

test("an OpenZFS whose authors do not know the series of the pinned Linux is told before anything is compiled", async (t) => {
  const META = "Name: zfs\nVersion: 2.4.3\nLinux-Maximum: 7.0\nLinux-Minimum: 4.18\n";
  const zfs = await tarball("zfs", [{ name: "META", data: META }]);
  const rig = await rigWith(t, { zfs });
  const told = async (version: string): Promise<string[]> => {
    const atLeast = (): boolean => false;
    const assumptions = assumptionsOf(linux, {
      has: () => true,
      of: () => version,
      atLeast,
      patches: () => [],
      local: () => undefined,
    });
    const series = assumptions.filter((each) => each.expects === "success" && each.what.startsWith("it is made for "));
    assert.equal(series.length, 1);
    return broken((await look(rig, user("zfs", series))).findings);
  };
  for (const version of ["6.18.15", "7.0.13", "4.18"]) assert.deepEqual(await told(version), [], version);
  for (const version of ["7.1.13", "7.10.1", "4.9.337"])
    assert.deepEqual(await told(version), [`zfs . it is made for Linux ${version}`]);
});

test("an archive that is refused and a source that cannot be had are findings; the others are looked at", async (t) => {
  const rig = await rigWith(t, {
    good: await tarball("good", items),
    evil: await tarball("evil", [{ name: "null", type: "character-device" }]),
  });
  const absent = await tarball("absent", items);
  rig.channel = { ...rig.channel, components: { ...rig.channel.components, absent: absent.pin } };
  const recipes = ["evil", "absent", "good"].map((name) => user(name, [assume(name).text("META", "Linux")]));
  const { findings } = await look(rig, ...recipes);
  assert.deepEqual(
    findings.map(({ component, holds }) => [component, holds]),
    [
      ["evil", false],
      ["absent", false],
      ["good", true],
      ["good", true],
    ],
  );
  assert.match(findings[0]?.what ?? "", /^E_ARCHIVE {2}evil is refused: "evil-1\.0\/null" is neither file/);
  assert.match(findings[1]?.what ?? "", /^E_FETCH {2}/);
});

test("assumptions are not in the key: what was built stays built", async (t) => {
  const rig = await rigWith(t, { data: await tarball("data", items) });
  assert.equal(rig.key(user("data", [])), rig.key(user("data", [assume("data").paths("META")])));
});

test("calls of configure are found in a script, wherever it went before", () => {
  const script = [
    "mkdir objects\ncd objects",
    "../gcc/configure --prefix=/usr --enable-languages=c,c++ \\\n  --with-sysroot=/usr --disable-nls CC=cc",
    "cd ../musl\n./configure --disable-shared",
    "cd /build/gcc/x/y\n../../../gcc/lib/configure --without-a1",
    "make install-configure; echo configure --disable-nothing",
    "CHOST=x ./configure --static",
  ].join("\n");
  assert.deepEqual(configuresOf(script), [
    { component: "gcc", configure: "configure", given: ["--enable-languages", "--with-sysroot", "--disable-nls"] },
    { component: "musl", configure: "configure", given: ["--disable-shared"] },
    { component: "gcc", configure: "lib/configure", given: ["--without-a1"] },
    { component: "gcc", configure: "x/y/configure", given: [] },
  ]);
});
