import type { Channel } from "../recipe/channel.ts";
import { channelNames, loadChannel } from "../source/channel.ts";
import { AUTO, setChannel } from "../source/channel-choice.ts";
import type { Project } from "./project.ts";

export interface Channels {
  /** What is built in this folder. */
  readonly chosen: Channel;
  readonly why: string;
  readonly all: readonly Channel[];
  /** What was built here until now, when it was changed. */
  readonly before: Channel | undefined;
}

/** The channels of the project; with a name, that one is built here from now on. Throws E_CHANNEL. */
export async function channels(project: Project, name: string | undefined): Promise<Channels> {
  const { root } = project;
  const before = name === undefined ? undefined : await project.selectChannel(AUTO).catch(() => undefined);
  if (name !== undefined) await setChannel(root, name);
  const { channel: chosen, why } = await project.selectChannel(AUTO);
  const names = await channelNames(root);
  const all = await Promise.all(names.map((each) => loadChannel(root, each)));
  return { chosen, why, all, before: before?.channel };
}
