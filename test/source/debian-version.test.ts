import assert from "node:assert/strict";
import { test } from "node:test";
import { compareDebianVersions, satisfies, upstreamVersion } from "../../src/source/debian-version.ts";

test("versions are ordered as Debian Policy says", () => {
  // each is older than the next; the order is that of `dpkg --compare-versions`
  const ascending = [
    "0~~",
    "0~~a",
    "0~",
    "0",
    "0a",
    "0+",
    "0.1",
    "1.0~rc1-1",
    "1.0-1~bpo12+1",
    "1.0-1",
    "1.0-1+b1",
    "1.0-1.1",
    "1.0-2",
    "1.0+dfsg-1",
    "1.0.1-1",
    "1.2",
    "1.10",
    "2.2.6-1",
    "20230101",
    "99999999999999999999998",
    "99999999999999999999999",
    "1:0.1",
    "2:0",
  ];
  for (const [index, older] of ascending.entries()) {
    assert.equal(compareDebianVersions(older, older), 0, older);
    for (const newer of ascending.slice(index + 1)) {
      assert.ok(compareDebianVersions(older, newer) < 0, `${older} < ${newer}`);
      assert.ok(compareDebianVersions(newer, older) > 0, `${newer} > ${older}`);
    }
  }
});

test("leading zeros and an epoch or revision of zero change nothing", () => {
  for (const [a, b] of [
    ["1.02", "1.2"],
    ["0:1.2", "1.2"],
    ["1.2-0", "1.2"],
  ] as const) {
    assert.equal(compareDebianVersions(a, b), 0, `${a} = ${b}`);
  }
});

test("a relation holds or not", () => {
  assert.ok(satisfies("1", "<<", "2") && !satisfies("2", "<<", "2"));
  assert.ok(satisfies("2", "<=", "2") && !satisfies("3", "<=", "2"));
  assert.ok(satisfies("2", "=", "2") && !satisfies("2-1", "=", "2"));
  assert.ok(satisfies("2", ">=", "2") && !satisfies("1", ">=", "2"));
  assert.ok(satisfies("3", ">>", "2") && !satisfies("2", ">>", "2"));
});

test("the upstream version is found in versions of repacked archives", () => {
  for (const [debian, upstream] of [
    ["6.12.95-1~bpo12+1", "6.12.95"],
    ["2.3.2-2~bpo12+2", "2.3.2"],
    ["1:1.35.0-4+b3", "1.35.0"],
    ["2:6.3.0+dfsg-3", "6.3.0"],
    ["1:1.3.dfsg+really1.3.1-1+b1", "1.3.1"],
    ["1.3.6+ds-1", "1.3.6"],
    ["1.5.7+dfsg2-1", "1.5.7"],
    ["3.0.20-1~deb12u1", "3.0.20"],
    ["0.192-4", "0.192"],
    ["2.44", "2.44"],
  ] as const) {
    assert.equal(upstreamVersion(debian), upstream);
  }
});
