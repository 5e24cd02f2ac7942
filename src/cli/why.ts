import { type Evaluation, type Node } from "../forge/evaluate.ts";
import { recordName } from "../store/garbage.ts";
import type { Key } from "../recipe/derivation.ts";
import { describeProof } from "../recipe/proof.ts";
import { channelOptions, parse, usage, type Command } from "./command.ts";
import { printJson, printLines } from "./print.ts";

const help = `
usage: anvil why <recipe> [options]

Says what decides a recipe's key, whether its output is in the store and how it was proven, and through what the ISO
needs it.

  --channel <name>   another than the one of this folder (\`anvil channel\`)
  --json             one document: {name, version, key, present, elsewhere, path, inputs, proofs}

examples:
  anvil why zlib

exit status: 0
`;

const options = { ...channelOptions, json: { type: "boolean", default: false } } as const;

export const command: Command = {
  summary: "say what a recipe depends on and who needs it",
  help,
  async run(args, project) {
    const { values, positionals } = parse(args, help, options);
    const [name] = positionals;
    if (name === undefined || positionals.length > 1) throw usage("name one recipe", help);
    const store = project.store;
    const { channel } = await project.selectChannel(values.channel);
    const targets = await project.targets();
    const evaluation = project.evaluate([targets.image(), targets.find(name)], channel);
    const [iso, key] = evaluation.targets as [Key, Key];
    const { derivation, needs } = evaluation.nodes.get(key) as Node;
    const record = store.record(key);
    const label = (each: Key): string => {
      const node = evaluation.nodes.get(each) as Node;
      return `${node.derivation.kind === "fetch" ? "fetch " : ""}${node.derivation.name} ${node.derivation.version}`;
    };
    const chain = shortestPath(evaluation, iso, key).map((each) => evaluation.nodes.get(each)?.derivation.name ?? "");
    const elsewhere = store.elsewhere(key).map(recordName);
    const proofs = derivation.kind === "step" ? derivation.proves.map(describeProof) : [];
    const inputs = needs.map((need) => ({ key: need, name: label(need) }));
    const facts = {
      name: derivation.name,
      version: derivation.version,
      key,
      present: record !== undefined,
      elsewhere,
      path: chain,
      inputs,
      proofs,
    };
    if (values.json) printJson(facts, 1);
    else {
      const shown =
        derivation.kind === "seed"
          ? [`${inputs.length} packages`]
          : inputs.map((each) => `${each.key.slice(0, 12)}  ${each.name}`);
      const state =
        record === undefined
          ? "not built"
          : `built in ${record.seconds.toFixed(1)} s, ${record.files} files, ${(record.bytes / 1e6).toFixed(1)} MB`;
      const lines = [
        `${derivation.name} ${derivation.version}`,
        `  key     ${key}`,
        `  output  ${record === undefined ? state : `${store.outputPath(key)} (${state})`}`,
        ...elsewhere.map((text) => `  also    ${text}`),
        `  needed  ${chain.length === 0 ? "not by the ISO" : chain.join(" → ")}`,
        ...shown.map((text, index) => `  ${index === 0 ? "from    " : "        "}${text}`),
        ...proofs.map((text, index) => `  ${index === 0 ? "proofs  " : "        "}${text}`),
      ];
      printLines(lines);
    }
    return 0;
  },
};

function shortestPath({ nodes }: Evaluation, from: Key, to: Key): Key[] {
  const paths = new Map<Key, Key[]>([[from, [from]]]);
  for (const [key, path] of paths) {
    if (key === to) return path;
    for (const need of nodes.get(key)?.needs ?? []) if (!paths.has(need)) paths.set(need, [...path, need]);
  }
  return [];
}
