import type { AuditedAdvisory, ComponentAudit } from "../source/advisories.ts";
import { auditFile, auditTargets } from "../project/audit.ts";
import { ANY, command as define } from "./command.ts";
import { channelOptions, flag } from "./options.ts";

const help = `
usage: anvil audit [target… | file] [options]

Says what is known of vulnerabilities in the sources: fixed (by which version or patch), not affected (and why), or open.
Without a target: the sources of the ISO as the channel pins them. A file is an ISO, whose manifest stands beside it, or
a manifest: what it was made of, judged by what is known today (channels/advisories.json).

  --channel <name>  another than the one of this folder (\`anvil channel\`); not for a file
  --open            only what is open
  --json            one document: {of, open, components: [{component, version, looked, advisories:
                    [{ids, what, date, source, status, by, why}]}]}

examples:
  anvil audit
  anvil audit ingot-db --open
  anvil audit out/anvilos-phase2.iso --json

exit status: 0 nothing is open; 1 something is, or a component was never looked at; 2 wrong usage
`;

export const command = define({
  summary: "what is known of vulnerabilities in the sources",
  help,
  options: { ...channelOptions, open: flag, json: flag },
  words: ANY,
  async run({ values, words, project }) {
    const [file] = words;
    const isFile = words.length === 1 && file !== undefined && /\.(?:iso|json)$/.test(file);
    const found = isFile ? await auditFile(project, file) : await auditTargets(project, words, values.channel);
    const { of, components } = found;
    const open = count(components, "open");
    const shown = values.open ? onlyOpen(components) : components;
    return {
      text: renderText(of, components, shown),
      document: { of, open, components: shown },
      status: open === 0 && unlooked(components).length === 0 ? 0 : 1,
    };
  },
});

const count = (components: readonly ComponentAudit[], status: AuditedAdvisory["status"]): number =>
  components.flatMap(({ advisories }) => advisories.filter((each) => each.status === status).flatMap(({ ids }) => ids))
    .length;

const unlooked = (components: readonly ComponentAudit[]): string[] =>
  components.filter(({ looked }) => looked === undefined).map(({ component }) => component);

function onlyOpen(components: readonly ComponentAudit[]): ComponentAudit[] {
  return components
    .map((each) => ({ ...each, advisories: each.advisories.filter(({ status }) => status === "open") }))
    .filter(({ advisories }) => advisories.length > 0);
}

function renderText(of: string, all: readonly ComponentAudit[], shown: readonly ComponentAudit[]): string {
  const lines = shown.flatMap(({ component, version, looked, advisories }) => [
    `${component} ${version}${looked === undefined ? "  nobody has looked" : ""}`,
    ...advisories.flatMap(renderAdvisory),
  ]);
  const never = unlooked(all);
  const counts = (["open", "fixed", "not affected"] as const).map((status) => `${count(all, status)} ${status}`);
  lines.push(`${of}: ${counts.join(", ")}, in ${all.length} components`);
  if (never.length > 0) lines.push(`nobody has looked at ${never.join(", ")}`);
  return `${lines.join("\n")}\n`;
}

function renderAdvisory(advisory: AuditedAdvisory): string[] {
  const { ids, what, date, source, status } = advisory;
  const shown = ids.slice(0, 8);
  const more = ids.length - shown.length;
  const reason = status === "fixed" ? `by ${advisory.by}` : advisory.why;
  return [
    `  ${status.padEnd(12)}  ${what}`,
    `                ${shown.join(" ")}${more > 0 ? ` and ${more} more` : ""}`,
    ...(reason === undefined ? [] : [`                ${reason}`]),
    `                ${date}, ${source}`,
  ];
}
