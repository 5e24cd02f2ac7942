import { Fault } from "../fault/fault.ts";
import type { Facts } from "../inject/client.ts";
import type { Manifest } from "../inject/manifest.ts";
import { withClient } from "../project/connect.ts";
import { exportIngot, ingotFacts, ingotFileFacts, isIngotFile, type IngotFacts } from "../project/ingots.ts";
import { count, size } from "../ui/units.ts";
import { builderOf, buildOptions } from "./build-options.ts";
import { command as define, type Answer, type Call } from "./command.ts";
import { connectHelp, connectOptions, flag } from "./options.ts";

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

What is built takes the options of \`anvil forge\`: --channel, --source, --jobs, --debian-mirror, --accept-unverified,
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
  data: flag,
  files: flag,
  out: { type: "string", default: "out" },
} as const;

type IngotCall = Call<typeof options, "list" | "verify" | "rollback" | "remove" | "show" | "export">;

export const command = define({
  summary: "list, verify, roll back, remove, show or export ingots",
  help,
  options,
  actions: { list: [0, 0], verify: [0, 1], rollback: [1, 1], remove: [1, 2], show: [1, 1], export: [1, 1] },
  async run(call): Promise<Answer | number> {
    const { values, action, words } = call;
    const [name = ""] = words;
    if (values.data && (action !== "remove" || words.length > 1))
      throw new Fault("E_USAGE", "--data goes with the removal of a whole ingot");
    if (action === "export") {
      const made = await exportIngot(name, values.out, await builderOf(call));
      return made === undefined ? 1 : { text: [made.file], document: made };
    }
    if (action !== "show") return exchange(call, [action, ...words, ...(values.data ? ["data"] : [])]);
    const facts = isIngotFile(name)
      ? await ingotFileFacts(call.project, name)
      : await ingotFacts(name, await builderOf(call));
    if (facts === undefined) return 1;
    const { key, signer, manifest } = facts;
    return { text: describe(facts, values.files), document: { key, signer: signer ?? null, ...manifest } };
  },
});

async function exchange(call: IngotCall, words: readonly string[]): Promise<number> {
  const { values, terminal, project } = call;
  // a word is all that the protocol can carry
  if (words.some((word) => !/^[\x21-\x7e]+$/.test(word))) throw new Fault("E_USAGE", "names hold no spaces");
  const lines: string[] = [];
  const show = (line: string): void => terminal.lines([words[0] === "list" ? listRow(line) : line]);
  const facts = await withClient(project, values, call.signal, (client) =>
    client.command(words, values.json ? (line) => lines.push(line) : show),
  );
  if (values.json) terminal.json(resultOf(words, lines, facts), 1);
  else Object.entries(facts).forEach((fact) => show(fact.join(" ")));
  return 0;
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

function describe({ manifest, key, signer, isFile }: IngotFacts, everyFile: boolean): string[] {
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
