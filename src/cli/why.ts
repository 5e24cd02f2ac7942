import { why, type Reasons } from "../project/why.ts";
import { command as define } from "./command.ts";
import { sourceHelp, sourceOptions, flag } from "./options.ts";

const help = `
usage: anvil why <recipe> [options]

Says what decides a recipe's key, whether its output is in the store and how it was proven, and through what the ISO
needs it.

  --channel <name>   another than the one of this folder (\`anvil channel\`)
  ${sourceHelp}
  --json             one document: {name, version, key, present, elsewhere, path, inputs, proofs}

examples:
  anvil why zlib

exit status: 0
`;

export const command = define({
  summary: "say what a recipe depends on and who needs it",
  help,
  options: { ...sourceOptions, json: flag },
  words: [1, 1],
  named: "one recipe",
  async run({ values, words: [name = ""], project }) {
    const { kind, output, ...document } = await why(project, name, values);
    return { text: asLines({ kind, output, ...document }), document };
  },
});

function asLines({ name, version, key, kind, output, elsewhere, path, inputs, proofs }: Reasons): string[] {
  const from = kind === "seed" ? [`${inputs.length} packages`] : inputs.map(inputText);
  return [
    `${name} ${version}`,
    `  key     ${key}`,
    `  output  ${output === undefined ? "not built" : outputText(output)}`,
    ...elsewhere.map((text) => `  also    ${text}`),
    `  needed  ${path.length === 0 ? "not by the ISO" : path.join(" → ")}`,
    ...headed("from", from),
    ...headed("proofs", proofs),
  ];
}

const inputText = ({ key, name }: Reasons["inputs"][number]): string => `${key.slice(0, 12)}  ${name}`;

function outputText({ folder, seconds, files, bytes }: NonNullable<Reasons["output"]>): string {
  return `${folder} (built in ${seconds.toFixed(1)} s, ${files} files, ${(bytes / 1e6).toFixed(1)} MB)`;
}

function headed(word: string, lines: readonly string[]): string[] {
  return lines.map((text, index) => `  ${(index === 0 ? word : "").padEnd(6)}  ${text}`);
}
