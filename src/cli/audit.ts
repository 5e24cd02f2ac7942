import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { auditOf, readManifest } from "../forge/manifest.ts";
import { audit, loadAdvisories, pinsOf, type AuditedAdvisory, type ComponentAudit } from "../source/advisories.ts";
import { hashFile } from "../store/tree.ts";
import { channelOptions, parse, type Command } from "./command.ts";
import { print, printJson } from "./print.ts";
import { componentsOf, seedsOf } from "../project/targets.ts";
import type { Project } from "../project/project.ts";

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

const options = {
  ...channelOptions,
  open: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
} as const;

export const command: Command = {
  summary: "what is known of vulnerabilities in the sources",
  help,
  async run(args, project) {
    const { values, positionals } = parse(args, help, options);
    const { of, components } = await judged(positionals, values.channel, project);
    const open = count(components, "open");
    const shown = values.open ? onlyOpen(components) : components;
    if (values.json) printJson({ of, open, components: shown }, 1);
    else print(renderText(of, components, shown));
    return open === 0 && unlooked(components).length === 0 ? 0 : 1;
  },
};

async function judged(
  names: readonly string[],
  channelName: string,
  project: Project,
): Promise<{ of: string; components: readonly ComponentAudit[] }> {
  const known = await loadAdvisories(project.root);
  const [file] = names;
  if (names.length === 1 && file !== undefined && /\.(?:iso|json)$/.test(file))
    return { of: file, components: auditOf(readManifest(manifestFor(file)), known) };
  const targets = (await project.targets()).named(names);
  const { channel } = await project.selectChannel(channelName);
  const wanted = componentsOf(targets);
  const seeds = seedsOf(targets).map(({ name }) => name);
  return {
    of: `channel ${channel.name}`,
    components: audit(pinsOf(channel, wanted, seeds), known, wanted),
  };
}

/** The manifest beside an ISO. Throws E_MANIFEST unless it is of these bytes. */
function manifestFor(file: string): string {
  if (!file.endsWith(".iso")) return file;
  const manifest = file.replace(/\.iso$/, ".manifest.json");
  const named = readManifest(manifest).files.find((each) => each.file === path.basename(file));
  const sha256 = hashFile(file);
  if (named?.sha256 === sha256) return manifest;
  throw new Fault("E_MANIFEST", `${manifest} is not of this ISO`, {
    details: [`the manifest names ${named?.sha256 ?? "no such file"}`, `the ISO is        ${sha256}`],
  });
}

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
