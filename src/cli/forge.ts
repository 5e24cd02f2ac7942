import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { copyOut } from "../forge/publish.ts";
import { manifestOf } from "../forge/manifest.ts";
import { fingerprint } from "../inject/authorized-keys.ts";
import { ensureKey, keyId, readKey, trustedKeys } from "../inject/key-file.ts";
import type { Output } from "../recipe/recipe.ts";
import { loadAdvisories } from "../source/advisories.ts";
import type { Store } from "../store/store.ts";
import { hashFile } from "../store/tree.ts";
import { count } from "../ui/units.ts";
import { build, buildOptions, jobCount, openBuildStore, type Built } from "./build.ts";
import { parse, type Command } from "./command.ts";
import { print } from "./print.ts";
import { cratesHelp, mirrorHelp, onInterrupt } from "./realise-options.ts";
import type { Project } from "../project/project.ts";
import { acceptsIngots } from "../project/targets.ts";
import { loginOptions, rootLoginOf } from "./command.ts";

const help = `
usage: anvil forge [target…] [options]

Builds what is missing and proves it. An ISO is put into out/, with its manifest; other results stay in the store. Without a
target: the ISO.

  --channel <name>            versions and places of the sources; the first build chooses it for this folder,
                              \`anvil channel\` changes it (default: a channel that was built whole)
  -j, --jobs <n>              processes that compute at once, over all packages (default: all cores)
  --keep-going                after a failure go on with what does not depend on it
  --accept-from-vm <ingot>    also use what a running Monolith built for this ingot (\`anvil inject --in vm\`), which is
                              not known to be what the sandbox would make; may be repeated
  --accept-unverified <name>  use a source whose pin is marked doubtful; may be repeated
  --no-preflight              of a channel that was never built whole: compile without looking at its sources first
  ${mirrorHelp}
  ${cratesHelp}
  --no-root-login             an ISO whose consoles, rescue and boot menu give nobody a shell. The default when there are
                              SSH keys to let in: ~/.config/anvil/authorized_keys
  --root-login                an ISO whose consoles are a root shell without a password; the default otherwise
  --out <folder>              where results are put (default: out)
  --json                      one JSON object per event (docs/events.md)
  --plain                     lines, even on a terminal

examples:
  anvil forge
  anvil forge linux -j 4
  anvil forge --no-root-login
  anvil forge --channel debian --json > events.jsonl

Each step has limits, which ANVIL_STEP_MEMORY=12G, ANVIL_STEP_PROCESSES=20000 and ANVIL_STEP_FILE_SIZE=100G change and
"none" turns off.

The ISO accepts ingots that are signed with your key (\`anvil key\`), which the first forge makes.

exit status: 0 all there, 1 something failed, 2 wrong usage, 130 interrupted
`;

const options = {
  ...buildOptions,
  ...loginOptions,
  out: { type: "string", default: "out" },
} as const;

export const command: Command = {
  summary: "build the ISO, or the named recipes, from source",
  help,
  async run(args, project) {
    const { values, positionals } = parse(args, help, options);
    const jobs = jobCount(values.jobs, help);
    const targets = await targetsOf(project, positionals, rootLoginOf(values));
    const store = await openBuildStore(values, project);
    const interrupt = onInterrupt();
    try {
      const built = await build({ project, targets, values, jobs, store, signal: interrupt.signal });
      if (typeof built === "number") return built;
      const { image } = (await project.targets()).catalogue;
      const published = await publish(project, built, store, path.resolve(values.out));
      if (published !== undefined && !values.json)
        print(`${whereItIs(values.out, image.file)}\n${whoGetsIn(published)}\n`);
      return 0;
    } finally {
      interrupt.close();
    }
  },
};

/** The first ISO that a user forges needs a key whose ingots it accepts. */
async function targetsOf(
  project: Project,
  names: readonly string[],
  rootLogin: boolean | undefined,
): Promise<readonly Output[]> {
  const all = await project.targets();
  const targets = all.named(names, rootLogin);
  if (!acceptsIngots(targets) || readKey(project.keys) !== undefined) return targets;
  ensureKey(project.keys);
  return all.named(names, rootLogin);
}

function whereItIs(out: string, name: string): string {
  const file = path.join(out, name);
  return `${file} is there, with its manifest beside it; \`anvil boot${out === "out" ? "" : ` --iso ${file}`}\` boots it`;
}

/** Who can log in to a system. */
interface Logins {
  readonly rootLogin: boolean;
  /** Fingerprints of SSH keys. */
  readonly logins: readonly string[];
}

function whoGetsIn({ rootLogin, logins }: Logins): string {
  const ssh = logins.length === 0 ? "nobody" : `the owners of ${count(logins.length, "key")}`;
  return rootLogin
    ? `root login is open: whoever reaches a console is root; over SSH ${ssh}. --no-root-login closes the consoles`
    : `root login is closed on every console; over SSH ${ssh}. --root-login opens the consoles`;
}

/** Copies the ISO to the output folder, with its manifest, unless it is there already. Undefined when none was built. */
async function publish(
  project: Project,
  { evaluation, why }: Built,
  store: Store,
  out: string,
): Promise<Logins | undefined> {
  const { image } = (await project.targets()).catalogue;
  let published: Logins | undefined;
  for (const key of evaluation.targets) {
    const record = store.record(key);
    if (record === undefined) throw new Fault("E_STORE_DAMAGED", "an output vanished while it was copied");
    const rootLogin = record.name === image.name;
    if (!rootLogin && record.name !== `${image.name}${image.closed}`) continue;
    published = { rootLogin, logins: project.logins().map(fingerprint) };
    const from = path.join(store.outputPath(key), image.file);
    const to = path.join(out, image.file);
    if (isSame(from, to, key)) continue;
    copyOut(from, to);
    const files = [{ file: image.file, bytes: statSync(to).size, sha256: hashFile(to) }];
    const trust = trustedKeys(project.keys).map(keyId);
    const known = await loadAdvisories(project.root);
    const manifest = manifestOf(evaluation, store, { why, files, trust, known, ...published });
    writeFileSync(path.join(out, "anvilos-phase2.manifest.json"), `${JSON.stringify(manifest, null, 1)}\n`);
    writeFileSync(stamp(to), stampOf(to, key));
  }
  return published;
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
