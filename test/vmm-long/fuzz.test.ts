import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../boot/monolith.ts";
import { project } from "../this-project.ts";

const SECONDS = "600";

test("ten minutes of requests led by coverage do not break the monitor", (t) => {
  const script = path.join(project.root, "scripts/fuzz-vmm.mjs");
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, SECONDS, scratch(t)], { encoding: "utf8" });
  assert.equal(status, 0, stdout + stderr);
  const [line, requests] = /^(\d+) requests: .*$/m.exec(stdout) ?? [];
  assert.ok(Number(requests) > 10_000, stdout);
  t.diagnostic(line ?? "");
});
