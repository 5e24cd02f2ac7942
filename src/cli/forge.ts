import { appendFileSync, existsSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { evaluate, type Evaluation } from "../forge/evaluate.ts";
import type { ForgeEvent } from "../forge/events.ts";
import { copyOut, realise, type RealiseOptions } from "../forge/forge.ts";
import { manifestOf } from "../forge/manifest.ts";
import type { Store } from "../store/store.ts";
import { hashFile } from "../store/tree.ts";
import { serialiseEvent } from "../ui/json.ts";
import { chooseView } from "../ui/open.ts";
import { mergeProfiles, parseProfile, profileOf, serialiseProfile, emptyProfile, type Profile } from "../ui/profile.ts";
import { Run } from "../ui/run.ts";
import {
  lastRunFile,
  openStore,
  parse,
  projectRoot,
  readPins,
  selectChannel,
  usage,
  writePin,
  type Command,
} from "./command.ts";
import { mirrors, onInterrupt, realiseOptions } from "./realise-options.ts";
import { defaultTarget, findTarget, IMAGE } from "./targets.ts";

const help = `
usage: anvil forge [target…] [options]

Builds what is missing, proves it and puts the results below out/. Without a target: the ISO.

  --channel <name>            debian, rfc-0054, or auto (default): the first whose sources can be had
  -j, --jobs <n>              processes that compute at once, over all packages (default: all cores)
  --keep-going                after a failure go on with what does not depend on it
  --accept-unverified <name>  use a source whose pin is marked doubtful; may be repeated
  --debian-mirror <url>       root of a Debian mirror; may be repeated (default: ANVIL_DEBIAN_MIRROR,
                              else this machine's APT configuration)
  --out <folder>              where results are put (default: out)
  --json                      one JSON object per event (docs/events.md)
  --plain                     lines, even on a terminal

examples:
  anvil forge
  anvil forge linux -j 4
  anvil forge --channel debian --json > events.jsonl

exit status: 0 all there, 1 something failed, 2 wrong usage, 130 interrupted
`;

const options = {
  ...realiseOptions,
  jobs: { type: "string", short: "j" },
  out: { type: "string", default: "out" },
} as const;

export const command: Command = {
  summary: "build the ISO, or the named recipes, from source",
  help,
  async run(args) {
    const { values, positionals } = parse(args, help, options);
    const jobs = jobCount(values.jobs);
    const targets = positionals.length === 0 ? [defaultTarget] : positionals.map(findTarget);
    const store = openStore();
    const { channel, why } = await selectChannel(values.channel, store, targets);
    const evaluateNow = (): Evaluation =>
      evaluate(targets, { project: projectRoot(), channel, pins: readPins(store, channel) });
    const profileFile = path.join(store.paths.top, "profile.json");
    const profile = existsSync(profileFile) ? parseProfile(readFileSync(profileFile, "utf8")) : emptyProfile;
    const view = chooseView({
      json: values.json,
      plain: values.plain,
      stream: process.stdout,
      env: process.env,
      profile,
    });
    const run = new Run();
    const eventFile = lastRunFile(store);
    writeFileSync(eventFile, "");
    const interrupt = onInterrupt();
    try {
      const accepted = new Set(values["accept-unverified"]);
      const options: RealiseOptions = {
        project: projectRoot(),
        store,
        why,
        jobs,
        keepGoing: values["keep-going"],
        acceptUnverified: accepted,
        mirrors: () => mirrors(values),
        onPin: (component, sha256) => writePin(store, channel, component, sha256),
        expected: new Map([...profile].map(([name, measure]) => [name, measure.seconds])),
        signal: interrupt.signal,
        on: (event) => {
          run.apply(event);
          keepEvent(eventFile, event);
          view(event);
        },
      };
      const unpinned = unpinnedFetches(evaluateNow(), accepted);
      if (unpinned.targets.length > 0 && !(await realise(unpinned, options)).ok) return 1;
      const evaluation = evaluateNow();
      const outcome = await realise(evaluation, options);
      if (outcome.built.length > 0) writeProfile(profileFile, mergeProfiles(profile, profileOf(run)));
      if (interrupt.signal.aborted) return 130;
      if (!outcome.ok) return 1;
      publish(evaluation, store, path.resolve(values.out), why);
      return 0;
    } finally {
      view.close();
      interrupt.close();
    }
  },
};

/** Accepted sources that have no pin: they are downloaded first, because keys depend on their hashes. */
function unpinnedFetches(evaluation: Evaluation, accepted: ReadonlySet<string>): Evaluation {
  const nodes = [...evaluation.nodes.values()].filter(
    ({ derivation }) => derivation.kind === "fetch" && derivation.sha256 === undefined && accepted.has(derivation.name),
  );
  return { ...evaluation, targets: nodes.map((node) => node.key) };
}

function jobCount(text: string | undefined): number {
  if (text === undefined) return os.availableParallelism();
  const jobs = Number(text);
  if (!Number.isInteger(jobs) || jobs < 1 || jobs > 1024)
    throw usage(`--jobs wants a whole number from 1 to 1024, not "${text}"`, help);
  return jobs;
}

/** The events of the last run, for `anvil report`; output lines are in the logs. */
function keepEvent(file: string, event: ForgeEvent): void {
  if (event.type === "output" || event.type === "progress") return;
  try {
    appendFileSync(file, `${serialiseEvent(event)}\n`);
  } catch {
    /* a report is a convenience: a full disk is told by what needs the space */
  }
}

function writeProfile(file: string, profile: Profile): void {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, serialiseProfile(profile));
  renameSync(draft, file);
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
    const manifest = manifestOf(evaluation, store, why, files);
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
