import { graph, type Graph } from "../project/plan.ts";
import { ANY, command as define } from "./command.ts";
import { sourceHelp, sourceOptions, flag, loginOptions, rootLoginOf } from "./options.ts";

const help = `
usage: anvil graph [target…] [options]

Prints the plan: every derivation with its key, version and what it needs, in build order. Builds nothing.

  --channel <name>   another than the one of this folder (\`anvil channel\`)
  ${sourceHelp}
  --root-login, --no-root-login   the ISO with or without a root shell on its consoles, as with \`anvil forge\`
  --all              also the downloads and packages of the seed
  --json             one document: {channel, targets, nodes: [{key, name, version, kind, needs, present}]}

examples:
  anvil graph
  anvil graph --channel rfc-0054 --json | jq '.nodes[].name'

exit status: 0, or 2 for wrong usage
`;

export const command = define({
  summary: "print the plan of a channel",
  help,
  options: { ...sourceOptions, ...loginOptions, all: flag, json: flag },
  words: ANY,
  async run({ values, words, project }) {
    const { channel, source } = values;
    const found = await graph(project, { names: words, channel, source, rootLogin: rootLoginOf(values) });
    const nodes = found.nodes.map(({ local: _, ...node }) => node);
    return {
      text: asText(found, values.all),
      document: { channel: found.channel, targets: found.targets, nodes },
    };
  },
});

function asText({ channel, nodes, why }: Graph, all: boolean): string {
  const named = new Map(nodes.map((node) => [node.key, node.name]));
  const packages = new Set(nodes.filter(({ kind }) => kind === "seed").flatMap(({ needs }) => needs));
  const shown = nodes.filter(({ key }) => all || !packages.has(key));
  const lines = shown.map(({ key, name, version, kind, needs, present, local }) => {
    const title = kind === "fetch" ? `${local ? "local" : "fetch"} ${name}` : name;
    const direct = needs.filter((need) => !packages.has(need)).map((need) => named.get(need));
    const from = direct.length === 0 ? "" : `  ← ${direct.join(", ")}`;
    return `${present ? "✓" : "·"} ${key.slice(0, 12)}  ${title} ${version}${from}`;
  });
  const hidden = nodes.length - shown.length;
  const rest = hidden === 0 ? [] : [`${hidden} packages of the seed are not shown (--all)`];
  return `${[`channel ${channel}: ${why}`, ...lines, ...rest].join("\n")}\n`;
}
