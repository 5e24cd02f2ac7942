import type { Channel } from "../recipe/channel.ts";
import { channelNames, loadChannel, standing } from "../source/channel.ts";
import { AUTO, setChannel } from "../source/channel-choice.ts";
import { parse, usage, type Command } from "./command.ts";
import { print, printJson } from "./print.ts";

const help = `
usage: anvil channel [<name>] [options]

Shows the channels of this project, and which one is built in this folder; with a name, makes it that one. A channel fixes version,
place and hash of every source. The first build chooses for the folder, and the choice stays for the ISO and for all that is sent
into it. ANVIL_CHANNEL=<name> takes the place of the choice, for whatever is started with it.

  --json   one document: {channel, why, channels: [{name, description, default, proven, unproven}]}

examples:
  anvil channel
  anvil channel rfc-0054

exit status: 0 done, 1 there is no such channel, 2 wrong usage
`;

const options = { json: { type: "boolean", default: false } } as const;

export const command: Command = {
  summary: "show or change the channel that is built here",
  help,
  async run(args, project) {
    const { values, positionals } = parse(args, help, options);
    const [name] = positionals;
    if (positionals.length > 1) throw usage("name one channel", help);
    const { root } = project;
    const before = name === undefined ? undefined : await project.selectChannel(AUTO).catch(() => undefined);
    if (name !== undefined) await setChannel(root, name);
    const { channel, why } = await project.selectChannel(AUTO);
    const names = await channelNames(root);
    const channels = await Promise.all(names.map((each) => loadChannel(root, each)));
    if (values.json) printJson(facts(channel, why, channels), 1);
    else print(asText(channel, why, channels, before?.channel));
    return 0;
  },
};

function facts(chosen: Channel, why: string, channels: readonly Channel[]): object {
  const rows = channels.map(({ name, description, default: standard = false, proven, unproven }) => ({
    ...{ name, description, default: standard, proven: proven ?? null, unproven: unproven ?? null },
  }));
  return { channel: chosen.name, why, channels: rows };
}

function asText(chosen: Channel, why: string, channels: readonly Channel[], before: Channel | undefined): string {
  const lines = channels.flatMap((each) => [
    `${each === chosen || each.name === chosen.name ? "*" : " "} ${each.name}: ${standing(each)}`,
    `    ${each.description}`,
    ...[each.proven?.result, each.unproven].filter((line) => line !== undefined).map((line) => `    ${line}`),
  ]);
  const changes = before === undefined || before.name === chosen.name ? [] : changed(before, chosen);
  return `${[`channel ${chosen.name}: ${why}`, ...lines, ...changes].join("\n")}\n`;
}

/** What the next build makes of other versions than before. */
function changed(before: Channel, after: Channel): string[] {
  const rows = Object.entries(after.components).flatMap(([name, { version }]) => {
    const old = before.components[name]?.version;
    return old === undefined || old === version ? [] : [`  ${name} ${old} → ${version}`];
  });
  return [`from ${before.name} to ${after.name}:`, ...rows];
}
