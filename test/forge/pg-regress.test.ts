import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { postgres } from "../../recipes/postgres/postgres.ts";
import { judged } from "../../recipes/postgres/tests.ts";
import { compareVersions } from "../../src/forge/evaluate.ts";
import { proofsOf, type Versions } from "../../src/recipe/recipe.ts";
import { Rig, step, type Run } from "./rig.ts";

function versions(pins: Readonly<Record<string, string>>): Versions {
  const of = (name: string): string => pins[name] ?? "0";
  return {
    of,
    has: (name) => name in pins,
    atLeast: (name, version) => compareVersions(of(name), version) >= 0,
    patches: () => [],
    local: () => undefined,
  };
}

/** What a recipe makes of a suite that says this. */
async function judge(t: TestContext, version: string, said: string): Promise<Run> {
  const script = `touch suite\nsay() { cat <<'END'\n${said}END\n}\nsuite out say\n`;
  return (await Rig.make(t)).forge(step("judge", judged(versions({ postgresql: version }), script)));
}

// as pg_regress of 15 and of 16 print them
const before16 = (char: string, sum: string): string => `\
============== running regression test queries        ==============
test tablespace                   ... ok          271 ms
parallel group (2 tests):  char boolean
     boolean                      ... ok           64 ms
     char                         ... ${char}           31 ms
 ${sum}
`;
const since16 = (char: string, sum: string): string => `\
# using temp instance on port 65312 with PID 2160
ok 1         - test_setup                                271 ms
# parallel group (2 tests):  char boolean
ok 2         + boolean                                    64 ms
${char} 3         + char                                       31 ms
1..3
# ${sum}
`;

for (const [version, good, bad, cut] of [
  [
    "15.19",
    before16("ok", "All 3 tests passed."),
    before16("FAILED", "1 of 3 tests failed."),
    before16("ok", "").trimEnd(),
  ],
  [
    "16.15",
    since16("ok", "All 3 tests passed."),
    since16("not ok", "1 of 3 tests failed."),
    since16("ok", "").trimEnd(),
  ],
  [
    "18.6",
    since16("ok", "All 3 tests passed."),
    since16("not ok", "1 of 3 tests failed."),
    since16("ok", "").trimEnd(),
  ],
] as const) {
  test(`the suites of PostgreSQL ${version}: passed, failed by name, and cut off`, async (t) => {
    const passed = await judge(t, version, good);
    assert.equal(passed.ok, true, passed.ok ? "" : passed.fault.message);

    const failed = await judge(t, version, bad);
    assert.equal(failed.ok, false);
    assert.match(failed.lines("judge").join("\n"), /these failed and are not known to fail: char $/m);

    const broken = await judge(t, version, `${cut}\n`);
    assert.equal(broken.ok, false, "no sum at the end is no success");
  });

  test(`a test of PostgreSQL ${version} that is known to fail may`, async (t) => {
    const known = await judge(t, version, bad.replaceAll(/\bchar( +(?:\.\.\.|\d))/g, "3des$1"));
    assert.equal(known.ok, true, known.ok ? "" : known.fault.message);
  });
}

test("the server may be larger where PostgreSQL or OpenSSL are newer", () => {
  const limit = (postgresql: string, openssl: string): number | undefined => {
    const proof = proofsOf(postgres, versions({ postgresql, openssl })).find(({ check }) => check === "at-most");
    return proof?.check === "at-most" ? proof.bytes : undefined;
  };
  assert.equal(limit("15.19", "3.0.22"), 13_250_000);
  assert.equal(limit("16.15", "3.0.22"), 13_900_000);
  assert.equal(limit("16.15", "3.5.9"), 14_650_000);
  assert.equal(limit("18.6", "4.0.1"), 15_750_000);
});
