/** A small workspace of our own, made like a monitor with metrics, a purge for it, and trees made of anchors. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Purge, SourceFiles } from "../../src/recipe/purge.ts";

const root = projectRoot(path.dirname(fileURLToPath(import.meta.url)));

/** The folder of package.json: a bundled test runs from a folder below dist. */
function projectRoot(folder: string): string {
  return existsSync(path.join(folder, "package.json")) ? folder : projectRoot(path.dirname(folder));
}

export const workspaceFolder = path.join(root, "test/purge/workspace");

/** Every file below a folder by its path from there. */
export function filesOf(folder: string): Map<string, string> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true });
  return new Map(
    names
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name))
      .map((file): [string, string] => [path.relative(folder, file), readFileSync(file, "utf8")])
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

const why = "nothing is counted";

export const syntheticPurge: Purge = {
  of: "the synthetic workspace",
  changes: [
    { removes: "src/helper", why: "not needed" },
    {
      file: "src/monitor/src/counters.rs",
      anchor: "pub struct Counter(AtomicU64)",
      text: `\
//! Counters that count nothing.
pub struct Counter;
impl Counter {
    pub fn inc(&self) {}
}
pub struct Counters {
    pub requests: Counter,
    pub refusals: Counter,
}
pub static COUNTERS: Counters = Counters {
    requests: Counter,
    refusals: Counter,
};
`,
      why,
    },
    { file: "src/monitor/src/requests.rs", anchor: "    FlushCounters,\n", becomes: "", why },
    {
      file: "src/monitor/src/requests.rs",
      anchor: '        ("PUT", "counters") => Ok(Action::FlushCounters),\n',
      becomes: "",
      why,
    },
    {
      file: "src/monitor/src/main.rs",
      from: "            Ok(Action::FlushCounters) =>",
      to: "            Err(message) =>",
      becomes: "",
      why,
    },
    {
      file: "src/monitor/src/main.rs",
      from: '    "--log-path",\n',
      to: '    "--version",\n',
      becomes: "",
      why: "nothing is logged",
    },
    { file: "src/monitor/Cargo.toml", anchor: "[features]\n", becomes: "# none is left on\n[features]\n", why },
  ],
  checks: [
    { below: "", lacks: "FlushCounters|AtomicU64", why },
    { below: "src/monitor", lacks: "synthetic_[a-z]", why: "names of counters" },
  ],
};

/** The smallest tree that a purge fits: its anchors, each once, in the order of the changes. */
export function treeOfAnchors(purge: Purge): Map<string, string> {
  const files = new Map<string, string>();
  for (const change of purge.changes) {
    if ("removes" in change) {
      const isFile = change.removes.endsWith(".rs");
      files.set(isFile ? change.removes : `${change.removes}/Cargo.toml`, "goes as a whole\n");
      continue;
    }
    const texts = "from" in change ? [change.from, " what is between goes too\n", change.to] : [change.anchor];
    files.set(change.file, `${files.get(change.file) ?? ""}${texts.join("")}\n~\n`);
  }
  return files;
}

/** The same files with one of them changed. */
export function withFile(files: SourceFiles, file: string, change: (text: string) => string): Map<string, string> {
  return new Map(files).set(file, change(files.get(file) ?? ""));
}
