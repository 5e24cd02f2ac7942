/** Forges recipes whose sources are folders of the tests, in the user's own store: the seed and ANVIL-CC are there. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { downloads } from "../../src/project/places.ts";
import type { Evaluation } from "../../src/forge/evaluate.ts";
import { realise } from "../../src/forge/forge.ts";
import { logFile } from "../../src/forge/step.ts";
import { wholePlan } from "../../src/forge/plan.ts";
import type { Channel, Component } from "../../src/recipe/channel.ts";
import type { Digest, Key } from "../../src/recipe/derivation.ts";
import type { Output } from "../../src/recipe/recipe.ts";
import { defaultLimits } from "../../src/sandbox/limits.ts";
import { loadChannel } from "../../src/source/channel.ts";
import { project } from "../this-project.ts";
import { buildTar, type TarItem } from "../format/tar-builder.ts";

const { store } = project;

/** A component with these bytes, which are put where a download would be. */
export function component(version: string, bytes: Buffer): Component {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  if (!store.sources.has(sha256 as Digest)) writeFileSync(store.sources.path(sha256 as Digest), bytes);
  return { version, urls: ["https://example.invalid/source.tar.gz"], sha256, verified: "recorded", licence: "0BSD" };
}

/** The files of a folder as authors pack them: below one top folder. The same bytes each time. */
export async function packed(folder: string): Promise<Buffer> {
  const top = path.join(project.root, folder);
  const names = readdirSync(top, { recursive: true, encoding: "utf8" }).sort();
  const files = names.filter((name) => statSync(path.join(top, name)).isFile());
  const items: TarItem[] = files.map((name) => ({
    name: `top/${name}`,
    data: readFileSync(path.join(top, name), "utf8"),
  }));
  return gzipSync(await buildTar([{ name: "top/", type: "directory" }, ...items]));
}

/** Channel `debian` with other components beside its own. */
export async function channelWith(components: Readonly<Record<string, Component>>): Promise<Channel> {
  const channel = await loadChannel(project.root, "debian");
  return { ...channel, components: { ...channel.components, ...components } };
}

export interface Forged {
  readonly evaluation: Evaluation;
  /** The folder of the output. */
  readonly tree: string;
  /** What the step printed. */
  readonly log: string;
}

/** Throws what went wrong, with the end of the step's log. */
export async function forge(target: Output, channel: Channel): Promise<Forged> {
  const now = (): Evaluation => project.evaluate([target], channel);
  const make = async (plan: Evaluation): Promise<boolean> => {
    const places = downloads(project, { debian: [], security: [], crates: [] }, plan);
    const outcome = await realise(plan, {
      project: project.root,
      store,
      why: "a test",
      jobs: os.availableParallelism(),
      keepGoing: false,
      limits: defaultLimits(),
      acceptUnverified: new Set(),
      mirrors: places.mirrors,
      crates: places.crates,
      onPin: () => {},
      expected: new Map(),
      signal: new AbortController().signal,
      on: () => {},
    });
    const [failed] = outcome.failed.values();
    if (failed !== undefined) throw failed;
    return outcome.ok;
  };
  const evaluation = await wholePlan(now(), now, make);
  if (evaluation === undefined || !(await make(evaluation))) throw new Error(`${target.name} could not be made`);
  const [key] = evaluation.targets as [Key];
  return {
    evaluation,
    tree: store.outputs.path(key),
    log: readFileSync(logFile(store, key, evaluation.nodes.get(key)?.derivation.name ?? ""), "utf8"),
  };
}
