import { existsSync, mkdirSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import type { Facts } from "../inject/client.ts";
import { Ingot } from "../inject/ingot-file.ts";
import { isSignedBy, keyId, trustedKeys } from "../inject/key-file.ts";
import { ingotKey, parseManifest, type Manifest } from "../inject/manifest.ts";
import { count, size } from "../ui/units.ts";
import { buildOptions, jobCount, openBuildStore } from "./build.ts";
import { parse, usage, type Command } from "./command.ts";
import { connectHelp, connectOptions, withClient, type ConnectValues } from "./connect.ts";
import { ingotBody, ingotNamed, signedIngot } from "./ingot-source.ts";
import { onInterrupt } from "./realise-options.ts";
import type { Project } from "../project/project.ts";
import { print, printJson, printLines } from "./print.ts";

const help = `
usage: anvil ingot list [options]
       anvil ingot verify [<name>] [options]
       anvil ingot rollback <name> [options]
       anvil ingot remove <name> [<key>] [--data] [options]
       anvil ingot show <name or file> [--files] [--json]
       anvil ingot export <name> [--out <folder>]

The ingots of a running Monolith, and those that can be sent. \`anvil inject\` sends one.

  list        what the Monolith holds: active, previous, half received
  verify      reads ingots there again and compares every file with its hash
  rollback    makes the one active that was before
  remove      removes an ingot, or the version of that key
  show        what is in an ingot: needs, services, proofs, sizes; builds what is missing of it
  export      writes a signed ingot file, for \`anvil inject --file\` or \`anvil-ingot add\` in the Monolith

${connectHelp}
  --data               with remove: also the data that the ingot keeps
  --files              with show: every file
  --out <folder>       with export: where the file is put (default: out)
  --json               one document; list: [{name, version, key, state, bytes, received}]; show: the manifest
  --plain              what is built: lines, even on a terminal

What is built takes the options of \`anvil forge\`: --channel, --jobs, --debian-mirror, --accept-unverified,
--accept-from-vm, --keep-going.

examples:
  anvil ingot list
  anvil ingot rollback tools
  anvil ingot export tools && anvil ingot show out/tools-*.ingot

exit status: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted
`;

const options = {
  ...buildOptions,
  ...connectOptions,
  data: { type: "boolean", default: false },
  files: { type: "boolean", default: false },
  out: { type: "string", default: "out" },
} as const;

type Values = ReturnType<typeof parseOptions>["values"];

/** How many names each action wants: least and most. */
const ACTIONS: Readonly<Record<string, readonly [number, number]>> = {
  list: [0, 0],
  verify: [0, 1],
  rollback: [1, 1],
  remove: [1, 2],
  show: [1, 1],
  export: [1, 1],
};

export const command: Command = {
  summary: "list, verify, roll back, remove, show or export ingots",
  help,
  async run(args, project) {
    const { values, positionals } = parseOptions(args);
    const [action = "", ...names] = positionals;
    const [least, most] = ACTIONS[action] ?? [1, 0];
    if (least > most) throw usage(`name what to do: ${Object.keys(ACTIONS).join(", ")}`, help);
    if (names.length < least || names.length > most) throw usage(`"${action}" wants other names`, help);
    if (values.data && (action !== "remove" || names.length > 1))
      throw usage("--data goes with the removal of a whole ingot", help);
    if (action === "show" || action === "export") return local(action, names[0] ?? "", values, project);
    return exchange([action, ...names, ...(values.data ? ["data"] : [])], values, project);
  },
};

function parseOptions(args: readonly string[]) {
  return parse(args, help, options);
}

function exchange(
  words: readonly string[],
  values: ConnectValues & { readonly json: boolean },
  project: Project,
): Promise<number> {
  // a word is all that the protocol can carry
  if (words.some((word) => !/^[\x21-\x7e]+$/.test(word))) throw usage("names hold no spaces", help);
  return withClient(values, project, async (client) => {
    const lines: string[] = [];
    const show = (line: string): void => printLines([words[0] === "list" ? listRow(line) : line]);
    const facts = await client.command(words, values.json ? (line) => lines.push(line) : show);
    if (values.json) printJson(resultOf(words, lines, facts), 1);
    else Object.entries(facts).forEach((fact) => show(fact.join(" ")));
    return 0;
  });
}

/** What the Monolith lists: name, version, key, state, bytes on its disk; of one that is half received how far it is. */
function listed(line: string): readonly [string, string, string, string, number, string | undefined] {
  const [name = "", version = "", key = "", state = "", bytes = "", received] = line.split(" ");
  return [name, version, key, state, Number(bytes), received];
}

function listRow(line: string): string {
  const [name, version, key, state, bytes, received] = listed(line);
  const chunks = received === undefined ? "" : `, ${received} chunks`;
  return `${`${name} ${version}`.padEnd(24)}  ${key}  ${state.padEnd(8)}  ${size(bytes)}${chunks}`;
}

function resultOf([action, name]: readonly string[], lines: readonly string[], facts: Facts): object {
  if (action === "list") {
    return lines.map((line) => {
      const [name, version, key, state, bytes, received] = listed(line);
      return { name, version, key, state, bytes, received: received ?? null };
    });
  }
  return { name: name ?? null, lines, ...facts };
}

async function local(action: "show" | "export", name: string, values: Values, project: Project): Promise<number> {
  const interrupt = onInterrupt();
  try {
    return await (action === "show" ? show : exportFile)(name, values, project, interrupt.signal);
  } catch (error) {
    if (interrupt.signal.aborted) return 130;
    throw error;
  } finally {
    interrupt.close();
  }
}

async function exportFile(name: string, values: Values, project: Project, signal: AbortSignal): Promise<number> {
  const store = await openBuildStore(values, project);
  const request = { project, values, jobs: jobCount(values.jobs, help), store, signal };
  const ingot = await signedIngot(await ingotNamed(name, values, project), request);
  if (typeof ingot === "number") return ingot;
  try {
    mkdirSync(values.out, { recursive: true });
    const file = path.join(values.out, ingot.fileName);
    await ingot.writeTo(file, signal);
    if (values.json) printJson({ file, key: ingot.key });
    else print(`${file}\n`);
    return 0;
  } finally {
    await ingot.close();
  }
}

/** What `show` knows beside the manifest. */
interface Shown {
  readonly manifest: Manifest;
  readonly key: string;
  /** Of a file: the id of the accepted key that signed it; undefined when none of them did. */
  readonly signer: string | undefined;
  readonly isFile: boolean;
}

async function show(name: string, values: Values, project: Project, signal: AbortSignal): Promise<number> {
  const shown = isFile(name) ? await readFileFacts(name, project) : await readBodyFacts(name, values, project, signal);
  if (typeof shown === "number") return shown;
  const { manifest, key, signer } = shown;
  if (values.json) printJson({ key, signer: signer ?? null, ...manifest }, 1);
  else printLines(describe(shown, values.files));
  return 0;
}

function isFile(name: string): boolean {
  return /[./]/.test(name) && existsSync(name) && statSync(name).isFile();
}

async function readFileFacts(file: string, project: Project): Promise<Shown> {
  const ingot = await Ingot.ofFile(file);
  await ingot.close();
  const signer = trustedKeys(project.keys).find((key) => isSignedBy(key, ingot.bytes, ingot.signature));
  const { manifest, key } = ingot;
  return { manifest, key, signer: signer === undefined ? undefined : keyId(signer), isFile: true };
}

async function readBodyFacts(
  name: string,
  values: Values,
  project: Project,
  signal: AbortSignal,
): Promise<Shown | number> {
  const folder = await ingotBody(await ingotNamed(name, values, project), {
    project,
    values,
    jobs: jobCount(values.jobs, help),
    store: await openBuildStore(values, project),
    signal,
  });
  if (typeof folder === "number") return folder;
  const bytes = await readFile(path.join(folder, "manifest"));
  return { manifest: parseManifest(bytes), key: ingotKey(bytes), signer: undefined, isFile: false };
}

function describe({ manifest, key, signer, isFile }: Shown, everyFile: boolean): string[] {
  const { needs, services, health, data, proofs, entries, chunks } = manifest;
  const files = entries.filter((entry) => entry.kind === "file");
  const sum = (of: "size" | "stored"): string => size(chunks.reduce((total, chunk) => total + chunk[of], 0));
  return [
    `${manifest.name} ${manifest.version}  ${manifest.arch}`,
    `  key     ${key.slice(0, 12)}`,
    `  date    ${new Date(manifest.date * 1000).toISOString()}`,
    `  size    ${count(files.length, "file")}, ${sum("size")}; ${sum("stored")} as it is sent`,
    ...(isFile
      ? [`  signed  ${signer === undefined ? "by none of the keys that you accept" : `by key ${signer}`}`]
      : []),
    ...needs.map(({ ingot, atLeast }) => `  needs   ${ingot}${atLeast === undefined ? "" : ` ${atLeast} or later`}`),
    ...services.map((service) => `  service ${service}`),
    ...(health === undefined ? [] : [`  health  ${health.program}, within ${health.seconds} s`]),
    ...(data ? ["  data    of its own, which its versions share"] : []),
    ...proofs.map((proof, index) => `  ${index === 0 ? "proofs  " : "        "}${proof}`),
    ...(everyFile ? entries.map(entryText) : []),
  ];
}

function entryText(entry: Manifest["entries"][number]): string {
  switch (entry.kind) {
    case "dir":
      return `  ${entry.path}/`;
    case "file":
      return `  ${entry.path}  ${size(entry.size)}`;
    case "link":
      return `  ${entry.path} → ${entry.target}`;
  }
}
