/** What a project's forges download, and carrying it to a machine without network (`src/forge/bundle.ts`). */
import { writeBundle, type Bundled, type BundleIndex } from "../forge/bundle.ts";
import { acceptedPins, importBundle, type Imported } from "../forge/bundle-import.ts";
import { evaluate, type Evaluation } from "../forge/evaluate.ts";
import { fetchesOf, fetchPlan } from "../forge/fetch-plan.ts";
import { outputReader } from "../forge/plan.ts";
import type { Channel } from "../recipe/channel.ts";
import type { Digest } from "../recipe/derivation.ts";
import type { Output } from "../recipe/recipe.ts";
import type { Project } from "./project.ts";
import { recipesOf } from "./targets.ts";

/** What is downloaded for: recipes by name, the image when there is none, or all that a channel has the sources of. */
export interface Wish {
  readonly names: readonly string[];
  readonly all: boolean;
}

export interface Downloads {
  readonly evaluation: Evaluation;
  /** The downloads alone. */
  readonly fetches: Evaluation;
}

/** What a forge of these downloads from a channel. Throws E_NO_TARGET and what `evaluate` throws. */
export async function downloadsOf(
  project: Project,
  wish: Wish,
  channel: Channel,
  pins: ReadonlyMap<string, Digest> = project.pins(channel),
): Promise<Downloads> {
  const all = await project.targets();
  const targets: readonly Output[] = wish.all ? all.of(channel) : all.named(wish.names);
  const context = { project: project.root, channel, pins, readOutput: outputReader(project.store) };
  const evaluation = evaluate(targets, context);
  return { evaluation, fetches: fetchPlan(evaluation, recipesOf(targets), all.catalogue.seeds.cc, context) };
}

/** Writes what the store has of these channels' downloads into one file. Throws what `writeBundle` throws. */
export async function exportSources(
  project: Project,
  wish: Wish,
  channels: readonly Channel[],
  to: string,
  signal: AbortSignal,
): Promise<Bundled> {
  const { image } = (await project.targets()).catalogue;
  const targets = wish.all ? [] : wish.names.length === 0 ? [image.name] : wish.names;
  const shares = [];
  for (const channel of channels) {
    // after the download: what had no pin has one now
    const { fetches } = await downloadsOf(project, wish, channel);
    shares.push({ channel, targets, fetches: fetchesOf(fetches) });
  }
  return writeBundle(shares, project.store, to, signal);
}

export interface ImportOptions {
  /** Names of channels; those that the file was made for when there is none. */
  readonly channels: readonly string[];
  /** With neither names nor all: what the file was made for. */
  readonly wish: Wish;
  readonly acceptUnverified: ReadonlySet<string>;
  readonly signal: AbortSignal;
}

/** Takes a file of `exportSources` into the store; asks no network. Throws what `importBundle` throws, E_CHANNEL, E_NO_TARGET. */
export async function importSources(
  project: Project,
  file: string,
  { channels, wish, acceptUnverified, signal }: ImportOptions,
): Promise<Imported> {
  const accepted: (() => void)[] = [];
  const planOf = async (index: BundleIndex) => {
    const wanted = [];
    for (const name of new Set(channels.length > 0 ? channels : index.channels.map((each) => each.name))) {
      const { channel } = await project.selectChannel(name);
      const here = project.pins(channel);
      const theirs = acceptedPins(index, channel, acceptUnverified);
      const pins = new Map([...theirs, ...here]);
      for (const [component, sha256] of theirs)
        if (!here.has(component)) accepted.push(() => project.keepPin(channel, component, sha256));
      const { fetches } = await downloadsOf(project, madeFor(index, name, wish), channel, pins);
      wanted.push({ channel, fetches: fetchesOf(fetches) });
    }
    return { wanted, partly: channels.length > 0, acceptUnverified };
  };
  const imported = await importBundle(file, project.store, planOf, signal);
  accepted.forEach((keep) => keep());
  return imported;
}

function madeFor({ channels }: BundleIndex, name: string, wish: Wish): Wish {
  if (wish.all || wish.names.length > 0) return wish;
  const targets = channels.find((each) => each.name === name)?.targets;
  return targets === undefined ? wish : { names: targets, all: targets.length === 0 };
}
