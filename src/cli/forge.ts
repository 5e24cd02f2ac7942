import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import type { Evaluation } from "../forge/evaluate.ts";
import { copyOut } from "../forge/forge.ts";
import { manifestOf } from "../forge/manifest.ts";
import { ensureKey, keyId, readKey, trustedKeys } from "../inject/key-file.ts";
import type { Output } from "../recipe/recipe.ts";
import type { Store } from "../store/store.ts";
import { hashFile } from "../store/tree.ts";
import { build, buildOptions, jobCount } from "./build.ts";
import { openStore, parse, type Command } from "./command.ts";
import { onInterrupt } from "./realise-options.ts";
import { acceptsIngots, IMAGE, namedTargets } from "./targets.ts";
import { userKeys } from "./user-keys.ts";

const help = `
usage: anvil forge [target…] [options]

Builds what is missing, proves it and puts the results below out/. Without a target: the ISO.

  --channel <name>            debian, rfc-0054, or auto (default): the first whose sources can be had
  -j, --jobs <n>              processes that compute at once, over all packages (default: all cores)
  --keep-going                after a failure go on with what does not depend on it
  --accept-unverified <name>  use a source whose pin is marked doubtful; may be repeated
  --debian-mirror <url>       root of a Debian mirror; may be repeated (default: ANVIL_DEBIAN_MIRROR,
                              else this machine's APT configuration)
  --crates-mirror <url>       sparse index of a registry of Rust crates; may be repeated (default:
                              ANVIL_CRATES_MIRROR, else this machine's cargo configuration)
  --out <folder>              where results are put (default: out)
  --json                      one JSON object per event (docs/events.md)
  --plain                     lines, even on a terminal

examples:
  anvil forge
  anvil forge linux -j 4
  anvil forge --channel debian --json > events.jsonl

Each step has limits, which ANVIL_STEP_MEMORY=12G, ANVIL_STEP_PROCESSES=20000 and ANVIL_STEP_FILE_SIZE=100G change and
"none" turns off.

The ISO accepts ingots that are signed with your key (\`anvil key\`), which the first forge makes.

exit status: 0 all there, 1 something failed, 2 wrong usage, 130 interrupted
`;

const options = {
  ...buildOptions,
  out: { type: "string", default: "out" },
} as const;

export const command: Command = {
  summary: "build the ISO, or the named recipes, from source",
  help,
  async run(args) {
    const { values, positionals } = parse(args, help, options);
    const jobs = jobCount(values.jobs, help);
    const targets = targetsOf(positionals);
    const store = openStore();
    const interrupt = onInterrupt();
    try {
      const built = await build({ targets, values, jobs, store, signal: interrupt.signal });
      if (typeof built === "number") return built;
      publish(built.evaluation, store, path.resolve(values.out), built.why);
      return 0;
    } finally {
      interrupt.close();
    }
  },
};

/** The first ISO that a user forges needs a key whose ingots it accepts. */
function targetsOf(names: readonly string[]): readonly Output[] {
  const targets = namedTargets(names);
  if (!acceptsIngots(targets) || readKey(userKeys()) !== undefined) return targets;
  ensureKey(userKeys());
  return namedTargets(names);
}

/** Copies the ISO to the output folder, with its manifest, unless it is there already. */
function publish(evaluation: Evaluation, store: Store, out: string, why: string): void {
  for (const key of evaluation.targets) {
    const record = store.record(key);
    if (record === undefined) throw new Fault("E_STORE_DAMAGED", "an output vanished while it was copied");
    if (record.name !== "iso") continue;
    const from = path.join(store.outputPath(key), IMAGE);
    const to = path.join(out, IMAGE);
    if (isSame(from, to, key)) continue;
    copyOut(from, to);
    const files = [{ file: IMAGE, bytes: statSync(to).size, sha256: hashFile(to) }];
    const trust = trustedKeys(userKeys()).map(keyId);
    const manifest = manifestOf(evaluation, store, { why, files, trust });
    writeFileSync(path.join(out, "anvilos-phase2.manifest.json"), `${JSON.stringify(manifest, null, 1)}\n`);
    writeFileSync(stamp(to), stampOf(to, key));
  }
}

const stamp = (file: string): string => path.join(path.dirname(file), `.${path.basename(file)}.stamp`);

function stampOf(file: string, key: string): string {
  const { size, mtimeMs } = statSync(file);
  return JSON.stringify({ key, size, mtimeMs });
}

/** Whether the copy is of this key and was not touched since. */
function isSame(from: string, to: string, key: string): boolean {
  return (
    existsSync(to) &&
    existsSync(stamp(to)) &&
    statSync(from).size === statSync(to).size &&
    readFileSync(stamp(to), "utf8") === stampOf(to, key)
  );
}
