/**
 * Sources of this machine in the place of those that a channel pins (`--source`). Each is copied into the store under the
 * hash of its bytes before anything is evaluated: what is built is the copy, whatever happens to the original meanwhile.
 * A folder is copied as an archive (`src/source/snapshot.ts`). The channel that comes of it is like any other, so keys,
 * checks and proofs are those of pinned sources.
 */
import { createHash } from "node:crypto";
import {
  chmodSync,
  closeSync,
  fsyncSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  statSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { setImmediate as breathe } from "node:timers/promises";
import { errno, Fault } from "../fault/fault.ts";
import { printableLine } from "../fault/printable.ts";
import type { Channel, Component, LocalOrigin } from "../recipe/channel.ts";
import type { Digest } from "../recipe/derivation.ts";
import { localNames } from "../source/channel.ts";
import { changedChoice, type ChannelChoice } from "../source/channel-choice.ts";
import { archiveOf, changed, refused } from "../source/snapshot.ts";
import { removeTree } from "../host/remove-tree.ts";
import type { Store } from "../store/store.ts";
import { writeFault } from "../store/write-fault.ts";
import type { Evaluation } from "./evaluate.ts";

export interface LocalSource {
  readonly component: string;
  /** Absent: that of the channel. */
  readonly version?: string;
  readonly path: string;
}

export interface LocalOptions {
  /** Only look: nothing is copied, and nothing can be built from it. */
  readonly look?: boolean;
  readonly signal?: AbortSignal;
}

/** Reads `name=path` and `name@version=path`. Throws E_USAGE. */
export function parseLocalSource(text: string): LocalSource {
  const match = /^([A-Za-z0-9._+-]+)(?:@([0-9A-Za-z][0-9A-Za-z.+~_-]*))?=(.+)$/s.exec(text);
  const [, component, version, at] = match ?? [];
  if (component === undefined || at === undefined)
    throw new Fault("E_USAGE", `--source wants <component>=<folder or archive>, not "${text}"`, {
      hint: "a version that is not the channel's: <component>@<version>=<folder or archive>",
    });
  return { component, path: at, ...(version === undefined ? {} : { version }) };
}

/**
 * The choice with these sources in the place of pins: its channel was never built whole, and its first line names them.
 * Throws E_USAGE, E_MISSING_SOURCE, E_LOCAL_SOURCE, E_SOURCE_CHANGED, and what a disk can refuse.
 */
export async function withLocalSources(
  choice: ChannelChoice,
  texts: readonly string[],
  store: Store,
  options: LocalOptions = {},
): Promise<ChannelChoice> {
  if (texts.length === 0) return choice;
  const { channel } = choice;
  const sources = texts.map(parseLocalSource);
  const twice = sources.find(
    ({ component }, index) => sources.findIndex((each) => each.component === component) < index,
  );
  if (twice !== undefined) throw new Fault("E_USAGE", `--source names ${twice.component} twice`);
  // before the first of them is read, which may take a while
  for (const { component } of sources) pinOf(channel, component);
  const changes: Record<string, Component> = {};
  for (const source of sources)
    changes[source.component] = await localComponent(source, channel, new Copier(store, options));
  const { proven: _, ...rest } = channel;
  const notes = Object.entries(changes).map(([name, component]) => describeLocal(name, component));
  const unproven = [...notes, channel.unproven].filter((text) => text !== undefined);
  const components = { ...channel.components, ...changes };
  return changedChoice(choice, { ...rest, unproven: unproven.join("; "), components });
}

/** For people: `zlib 1.3 from the tree zlib-dev, sha256 0123456789ab`. */
export function describeLocal(name: string, { version, sha256 = "", local }: Component): string {
  return `${name} ${version} from the ${local?.kind ?? "source"} ${local?.file ?? ""}, sha256 ${sha256.slice(0, 12)}`;
}

/** Local sources that something of a plan is made from. */
export function localSources({ channel, nodes }: Evaluation): [string, Component][] {
  const used = new Set([...nodes.values()].map(({ derivation: each }) => (each.kind === "fetch" ? each.sha256 : each)));
  return Object.entries(channel.components).filter(
    ([, { local, sha256 }]) => local !== undefined && used.has(sha256 as Digest),
  );
}

/** What the user should know of local sources that nothing of a plan is made from. */
export function unusedNotices(evaluation: Evaluation): string[] {
  const used = new Set(localSources(evaluation).map(([name]) => name));
  return localNames(evaluation.channel)
    .filter((name) => !used.has(name))
    .map((name) => `nothing of this is made from ${name}: its --source changes nothing`);
}

function pinOf({ name, components }: Channel, component: string): Component {
  const pin = components[component];
  if (pin !== undefined) return pin;
  throw new Fault("E_MISSING_SOURCE", `channel "${name}" has no source "${component}"`, {
    details: ["named by --source", `known: ${Object.keys(components).sort().join(", ")}`],
  });
}

async function localComponent(source: LocalSource, channel: Channel, copier: Copier): Promise<Component> {
  const { component } = source;
  const pin = pinOf(channel, component);
  const { kind, sha256, size } = await copier.copy(source, channel.epoch);
  const name = path.basename(path.resolve(source.path));
  const local: LocalOrigin = { kind, file: printableLine(name) };
  const version = source.version ?? pin.version;
  // the very bytes of the pin need what the pin needs: its patches
  if (sha256 === pin.sha256) return { ...pin, version, local };
  return { version, sha256, size, verified: "recorded", licence: pin.licence, local };
}

interface Copied {
  readonly kind: LocalOrigin["kind"];
  readonly sha256: Digest;
  readonly size: number;
}

/** Bytes after which other work gets its turn. */
const TURN = 1 << 24;

class Copier {
  constructor(
    private readonly store: Store,
    private readonly options: LocalOptions,
  ) {}

  /** Reads the source, and once more where the store has no copy yet: what differs then was being written to. */
  async copy({ component, path: named }: LocalSource, time: number): Promise<Copied> {
    const full = this.resolve(component, named);
    const kind = kindOf(component, named, full);
    const pieces = (): Iterable<Buffer> =>
      kind === "tree" ? archiveOf(full, { name: component, time }) : bytesOf(component, full);
    const { sha256, size } = await this.read(pieces());
    if (size === 0) throw refused(component, `${named} is empty`);
    if (this.options.look === true || this.store.sources.has(sha256)) return { kind, sha256, size };
    await this.keep(component, sha256, pieces());
    return { kind, sha256, size };
  }

  private resolve(component: string, named: string): string {
    let full: string;
    try {
      full = realpathSync(named);
    } catch (error) {
      const why = errno(error) === "ENOENT" ? "is not there" : `cannot be read: ${(error as Error).message}`;
      throw refused(component, `${path.resolve(named)} ${why}`);
    }
    const store = `${realpathSync(this.store.paths.top)}/`;
    if (store.startsWith(full === "/" ? full : `${full}/`)) throw refused(component, `${named} holds the cache folder`);
    return full;
  }

  private async read(pieces: Iterable<Buffer>, to?: number): Promise<{ sha256: Digest; size: number }> {
    const hash = createHash("sha256");
    let size = 0;
    let unyielded = 0;
    for (const piece of pieces) {
      hash.update(piece);
      if (to !== undefined) for (let at = 0; at < piece.length;) at += writeSync(to, piece, at);
      size += piece.length;
      unyielded += piece.length;
      if (unyielded < TURN) continue;
      unyielded = 0;
      await breathe();
      if (this.options.signal?.aborted === true) throw new Fault("E_INTERRUPTED", "interrupted");
    }
    return { sha256: hash.digest("hex") as Digest, size };
  }

  private async keep(component: string, expected: Digest, pieces: Iterable<Buffer>): Promise<void> {
    const work = this.store.workFolder("local");
    try {
      const draft = path.join(work, "source");
      const fd = openSync(draft, "wx");
      try {
        const { sha256 } = await this.read(pieces, fd);
        if (sha256 !== expected) throw changed(component);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      chmodSync(draft, 0o644);
      renameSync(draft, this.store.sources.path(expected));
    } catch (error) {
      throw writeFault(error, this.store.paths.top);
    } finally {
      removeTree(work);
    }
  }
}

function kindOf(component: string, named: string, full: string): LocalOrigin["kind"] {
  const stat = statSync(full);
  if (stat.isDirectory()) return "tree";
  if (stat.isFile()) return "archive";
  throw refused(component, `${named} is neither a folder nor a file`);
}

const chunk = Buffer.allocUnsafe(1 << 20);

function* bytesOf(component: string, file: string): Generator<Buffer> {
  let fd: number;
  try {
    fd = openSync(file, "r");
  } catch (error) {
    throw refused(component, (error as Error).message);
  }
  try {
    for (let length; (length = readSync(fd, chunk, 0, chunk.length, null)) > 0;) yield chunk.subarray(0, length);
  } finally {
    closeSync(fd);
  }
}
