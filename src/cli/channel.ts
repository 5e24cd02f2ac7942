import type { Channel } from "../recipe/channel.ts";
import { standing } from "../source/channel.ts";
import { channels, type Channels } from "../project/channels.ts";
import { command as define } from "./command.ts";
import { flag } from "./options.ts";

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

export const command = define({
  summary: "show or change the channel that is built here",
  help,
  options: { json: flag },
  words: [0, 1],
  named: "one channel",
  async run({ words: [name], project }) {
    const found = await channels(project, name);
    return { text: asText(found), document: facts(found) };
  },
});

function facts({ chosen, why, all }: Channels): object {
  const rows = all.map(({ name, description, default: standard = false, proven, unproven }) => ({
    ...{ name, description, default: standard, proven: proven ?? null, unproven: unproven ?? null },
  }));
  return { channel: chosen.name, why, channels: rows };
}

function asText({ chosen, why, all, before }: Channels): string {
  const lines = all.flatMap((each) => [
    `${each.name === chosen.name ? "*" : " "} ${each.name}: ${standing(each)}`,
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
