import assert from "node:assert/strict";
import { test } from "node:test";
import { firecrackerPurge } from "../../recipes/firecracker/purge.ts";
import { examinePurge, type Purge } from "../../src/recipe/purge.ts";
import { filesOf, syntheticPurge, treeOfAnchors, withFile, workspaceFolder } from "./synthetic.ts";

const workspace = filesOf(workspaceFolder);

test("a purge that fits changes what it says and nothing else", () => {
  const before = new Map(workspace);
  const { complaints, anchors, files } = examinePurge(syntheticPurge, workspace);
  assert.deepEqual(complaints, []);
  assert.ok(anchors.every(({ times }) => times === 1));
  assert.deepEqual(workspace, before);
  assert.deepEqual(
    [...files.keys()],
    [...workspace.keys()].filter((file) => !file.startsWith("src/helper/")),
  );
  assert.equal(files.get("Cargo.toml"), workspace.get("Cargo.toml"));
  assert.match(files.get("src/monitor/src/main.rs") ?? "", /"--id",\n {4}"--version",\n/);
  assert.doesNotMatch([...files.values()].join(""), /synthetic_|FlushCounters|log-path|mod tests/);
});

test("the purge of Firecracker fits a tree of its anchors and leaves none of what it is to remove", () => {
  const { complaints, files } = examinePurge(firecrackerPurge, treeOfAnchors(firecrackerPurge));
  assert.deepEqual(complaints, []);
  const text = [...files.values()].join("");
  assert.doesNotMatch(text, /what is between|parse_put_logger|FlushMetrics|metrics-path|log-instrument|AtomicU64/);
  assert.match(files.get("src/vmm/Cargo.toml") ?? "", /release_max_level_off/);
  assert.equal(files.has("src/firecracker/src/metrics.rs"), false);
  assert.equal(files.has("src/jailer/Cargo.toml"), false);
});

for (const purge of [syntheticPurge, firecrackerPurge]) {
  test(`every anchor of the purge of ${purge.of} that moved or stands twice is named`, () => {
    const tree = purge === syntheticPurge ? workspace : treeOfAnchors(purge);
    for (const { path, anchor } of examinePurge(purge, tree).anchors) {
      if (anchor === "") {
        const gone = new Map([...tree].filter(([file]) => file !== path && !file.startsWith(`${path}/`)));
        assert.deepEqual(examinePurge(purge, gone).complaints, [`${path}: is not there`]);
        continue;
      }
      const moved = examinePurge(
        purge,
        withFile(tree, path, (text) => text.replace(anchor, () => "@")),
      );
      assert.ok(moved.complaints.includes(`${path}: 0 times ${JSON.stringify(anchor)}`), anchor);
      const doubled = examinePurge(
        purge,
        withFile(tree, path, (text) => text.replace(anchor, () => `${anchor}\n${anchor}`)),
      );
      assert.ok(doubled.complaints.includes(`${path}: 2 times ${JSON.stringify(anchor)}`), anchor);
      assert.deepEqual([moved.files, doubled.files].length, 2);
    }
  });
}

test("all that moved is named at once, and nothing is changed", () => {
  const tree = new Map([...workspace].filter(([file]) => !file.endsWith("requests.rs")));
  const { complaints, files } = examinePurge(syntheticPurge, tree);
  assert.equal(complaints.length, 2);
  assert.equal(files, tree);
});

test("what is left of a metric fails a check, in files that the purge does not touch as well", () => {
  const file = "src/firecracker/src/other.rs";
  const tree = new Map(treeOfAnchors(firecrackerPurge)).set(file, "use metrics::PeriodicMetrics;\n");
  const { complaints, anchors, files } = examinePurge(firecrackerPurge, tree);
  assert.ok(anchors.every(({ times }) => times === 1));
  assert.deepEqual(
    complaints.map((line) => line.split(" (")[0]),
    [`${file}: still holds PeriodicMetrics`],
  );
  assert.equal(files, tree);
});

test("unit tests at the end of a file are not searched", () => {
  const tests = "\n#[cfg(test)]\nmod tests {\n    use super::FlushCounters;\n}\n";
  const tree = withFile(workspace, "src/monitor/src/main.rs", (text) => `${text}${tests}`);
  assert.deepEqual(examinePurge(syntheticPurge, tree).complaints, []);
});

test("anchors in the wrong order are refused", () => {
  const purge: Purge = {
    of: "two lines",
    changes: [{ file: "a", from: "second", to: "first", becomes: "", why: "order" }],
    checks: [],
  };
  const { complaints } = examinePurge(purge, new Map([["a", "first\nsecond\n"]]));
  assert.deepEqual(complaints, ["a: anchors stand in another order"]);
});
