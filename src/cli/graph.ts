import { type Evaluation, type Node } from "../forge/evaluate.ts";
import type { Key } from "../recipe/derivation.ts";
import type { Store } from "../store/store.ts";
import { channelOptions, parse, type Command } from "./command.ts";
import { loginOptions, rootLoginOf } from "./command.ts";
import { print, printJson } from "./print.ts";

const help = `
usage: anvil graph [target…] [options]

Prints the plan: every derivation with its key, version and what it needs, in build order. Builds nothing.

  --channel <name>   another than the one of this folder (\`anvil channel\`)
  --root-login, --no-root-login   the ISO with or without a root shell on its consoles, as with \`anvil forge\`
  --all              also the downloads and packages of the seed
  --json             one document: {channel, targets, nodes: [{key, name, version, kind, needs, present}]}

examples:
  anvil graph
  anvil graph --channel rfc-0054 --json | jq '.nodes[].name'

exit status: 0, or 2 for wrong usage
`;

const options = {
  ...channelOptions,
  ...loginOptions,
  all: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
} as const;

export const command: Command = {
  summary: "print the plan of a channel",
  help,
  async run(args, project) {
    const { values, positionals } = parse(args, help, options);
    const targets = (await project.targets()).named(positionals, rootLoginOf(values));
    const store = project.store;
    const { channel, why } = await project.selectChannel(values.channel);
    const evaluation = project.evaluate(targets, channel);
    if (values.json) printJson(facts(evaluation, store), 1);
    else print(renderText(evaluation, store, why, values.all));
    return 0;
  },
};

function isThere({ key, derivation }: Node, store: Store): boolean {
  if (derivation.kind !== "fetch") return store.has(key);
  return derivation.sha256 !== undefined && store.hasSource(derivation.sha256);
}

function facts({ channel, nodes, targets }: Evaluation, store: Store): object {
  const rows = [...nodes.values()].map((node) => ({
    key: node.key,
    name: node.derivation.name,
    version: node.derivation.version,
    kind: node.derivation.kind,
    needs: node.needs,
    present: isThere(node, store),
  }));
  return { channel: channel.name, targets, nodes: rows };
}

function renderText({ channel, nodes }: Evaluation, store: Store, why: string, all: boolean): string {
  const seedPackages = new Set<Key>();
  for (const { derivation, needs } of nodes.values())
    if (derivation.kind === "seed") needs.forEach((key) => seedPackages.add(key));
  const shown = [...nodes.values()].filter((node) => all || !seedPackages.has(node.key));
  const lines = shown.map((node) => {
    const { derivation, needs } = node;
    const state = isThere(node, store) ? "✓" : "·";
    const title = derivation.kind === "fetch" ? `fetch ${derivation.name}` : derivation.name;
    const direct = needs.filter((key) => !seedPackages.has(key)).map((key) => nodes.get(key)?.derivation.name);
    return `${state} ${node.key.slice(0, 12)}  ${title} ${derivation.version}${direct.length === 0 ? "" : `  ← ${direct.join(", ")}`}`;
  });
  const hidden = nodes.size - shown.length;
  const rest = hidden === 0 ? "" : `\n${hidden} packages of the seed are not shown (--all)`;
  return `channel ${channel.name}: ${why}\n${lines.join("\n")}${rest}\n`;
}
