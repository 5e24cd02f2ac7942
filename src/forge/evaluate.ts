/**
 * Recipes + channel → derivations with keys. Reads the project's own files that recipes name (`system/…`, `native/…`), and
 * the lock files of Rust programs in outputs that are there already, nothing else. Node order: what a node needs stands
 * before it.
 */
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { lockedCrates } from "../format/cargo.ts";
import { FormatError } from "../format/format-error.ts";
import type { Channel, Component, Crate, Patches } from "../recipe/channel.ts";
import type {
  Derivation,
  Digest,
  FetchDerivation,
  FileMount,
  Key,
  Mount,
  StepDerivation,
} from "../recipe/derivation.ts";
import { OWN } from "../recipe/image.ts";
import {
  proofsOf,
  type LockedCrates,
  type Output,
  type Recipe,
  type Seed,
  type SourceRef,
  type Versions,
} from "../recipe/recipe.ts";
import { patchesName, stepEnvironment, stepMounts, stepScript, stepVersion } from "../recipe/step.ts";
import { canonicalJson, keyOf, sha256 } from "./key.ts";

export interface Node {
  readonly key: Key;
  readonly derivation: Derivation;
  readonly needs: readonly Key[];
}

export interface Evaluation {
  readonly channel: Channel;
  readonly nodes: ReadonlyMap<Key, Node>;
  readonly targets: readonly Key[];
  /** Outputs that say what else has to be fetched and are not there. While there are any, what needs it is provisional. */
  readonly pending: readonly Key[];
}

export interface EvaluateOptions {
  /** Folder that holds `recipes/`, `system/`, `native/`. */
  readonly project: string;
  /** Folder of a user's with an image: what files are in whose names begin with `@image/`. */
  readonly own?: string | undefined;
  readonly channel: Channel;
  /** Digests of sources that the channel does not pin, by component: found at the first accepted download. */
  readonly pins: ReadonlyMap<string, Digest>;
  /** The text of a file in an output, undefined when the output is not there; by default none is. */
  readonly readOutput?: ReadOutput;
}

/** Throws E_CARGO_LOCK when the output is there and has no such file. */
export type ReadOutput = (key: Key, file: string) => string | undefined;

/** Throws E_MISSING_SOURCE, E_MISSING_FILE, E_NO_SEED, E_RECIPE_CYCLE, E_CARGO_LOCK, E_IMAGE_SOURCE. */
export function evaluate(targets: readonly Output[], options: EvaluateOptions): Evaluation {
  const evaluator = new Evaluator(options);
  const keys = targets.map((target) => evaluator.output(target));
  return { channel: evaluator.channel, nodes: evaluator.nodes, targets: keys, pending: [...evaluator.pending] };
}

/** The channel with what a recipe pins itself. Throws E_IMAGE_SOURCE for what has another pin already. */
export function withPins(channel: Channel, { sources }: Recipe): Channel {
  const own = sources.flatMap(({ component, pin }) => (pin === undefined ? [] : [[component, pin] as const]));
  const added = own.filter(([component, pin]) => {
    const known = channel.components[component];
    if (known !== undefined && canonicalJson(known) !== canonicalJson(pin))
      throw new Fault("E_IMAGE_SOURCE", `the source ${component} cannot be pinned so: it has another pin`, {
        details: [
          `${known.version}, ${known.sha256 ?? "no hash"}: that of channel ${channel.name}, or of another recipe`,
        ],
        hint: `give it another name; source("${component}") without a pin is that of the channel`,
      });
    return known === undefined;
  });
  if (added.length === 0) return channel;
  return { ...channel, components: { ...channel.components, ...Object.fromEntries(added) } };
}

/** The seed whose bubblewrap a step runs in: the first thing that the step needs. */
export function seedFor(evaluation: Evaluation, step: Node): Key {
  const seed = step.needs.find((need) => evaluation.nodes.get(need)?.derivation.kind === "seed");
  if (seed === undefined) throw new Error(`${step.derivation.name} has no seed`);
  return seed;
}

class Evaluator {
  readonly nodes = new Map<Key, Node>();
  readonly pending = new Set<Key>();
  /** With what recipes pin themselves. */
  channel: Channel;
  private readonly options: EvaluateOptions;
  private readonly done = new Map<Output, Key>();
  /** What is being evaluated, each because of the one before it. */
  private readonly open: Output[] = [];
  private readonly digests = new Map<string, Digest>();
  private versions: Versions;

  constructor(options: EvaluateOptions) {
    this.options = options;
    this.channel = options.channel;
    this.versions = versionsOf(options.channel);
  }

  output(output: Output): Key {
    const known = this.done.get(output);
    if (known !== undefined) return known;
    this.refuseCycle(output);
    this.open.push(output);
    const key = this.evaluateOutput(output);
    this.open.pop();
    this.done.set(output, key);
    return key;
  }

  /**
   * A recipe exists before whatever is made with it, so that honest ones cannot form a circle. Two modules that import
   * each other can: the one that is loaded first sees the other's recipe as undefined.
   */
  private refuseCycle(output: Output | undefined): void {
    if (output !== undefined && !this.open.includes(output)) return;
    const way = [...this.open, output].map((each) => each?.name ?? "something that is not defined yet");
    throw new Fault("E_RECIPE_CYCLE", `a recipe needs itself: ${way.join(" → ")}`, {
      hint: "look for recipe modules that import each other",
    });
  }

  private evaluateOutput(output: Output): Key {
    switch (output.kind) {
      case "seed":
        return this.seed(output.name);
      case "cpio": {
        const tree = this.output(output.tree);
        const version = this.nodes.get(tree)?.derivation.version ?? "";
        return this.add({ kind: "cpio", name: output.name, version, epoch: this.options.channel.epoch, tree }, [tree]);
      }
      case "step":
        return this.step(output);
    }
  }

  private seed(name: string): Key {
    const packages = this.options.channel.seeds[name];
    if (packages === undefined)
      throw new Fault("E_NO_SEED", `channel "${this.options.channel.name}" has no seed "${name}"`, {
        hint: `\`anvil lock --channel ${this.options.channel.name}\` adds it`,
      });
    const needs = packages.map((each) =>
      this.add(
        {
          kind: "fetch",
          name: each.package,
          version: each.version,
          file: path.posix.basename(each.archive),
          archive: each.archive,
          urls: [],
          sha256: each.sha256 as Digest,
          size: each.size,
          unverified: undefined,
        },
        [],
      ),
    );
    const pins = packages.map((each) => ({ package: each.package, sha256: each.sha256 as Digest }));
    const version = sha256(canonicalJson(pins)).slice(0, 8);
    return this.add({ kind: "seed", name: `seed-${name}`, version, packages: pins }, needs);
  }

  private step(recipe: Recipe): Key {
    const root = this.output(recipe.root);
    // whatever its root is, it runs in the bubblewrap of the seed that the root was built with
    const seed = this.output(seedOf(recipe));
    // before their folders are asked for: one that is not defined yet has none
    [...recipe.tools, ...recipe.link, ...recipe.inputs].forEach((output) => this.output(output));
    const mounts: Mount[] = stepMounts(recipe).map(({ at, output }) => ({ at, key: this.output(output) }));
    this.channel = withPins(this.channel, recipe);
    this.versions = versionsOf(this.channel);
    const fetched = recipe.sources.flatMap((source) => this.fetchSource(source, recipe.name));
    const sources = fetched.map(({ at, key }) => ({ at, sha256: this.sourceDigest(key) }));
    const { crates, unread } = this.crates(recipe);
    const derivation: StepDerivation = {
      kind: "step",
      name: recipe.name,
      version: stepVersion(recipe, this.versions),
      licence: recipe.licence,
      root,
      mounts,
      sources: [
        ...sources,
        ...crates.map(({ crate, version, sha256 }) => ({ at: crateAt(crate, version), sha256: sha256 as Digest })),
        // the key is provisional until the lock file can be read
        ...unread.map((key) => ({ at: "/src/crates", sha256: `unread-${key}` as Digest })),
      ],
      files: recipe.files.flatMap((file) => this.files(file, recipe.name)),
      env: stepEnvironment(recipe, this.versions, String(this.options.channel.epoch)),
      script: stepScript(recipe, this.versions),
      proves: proofsOf(recipe, this.versions),
    };
    return this.add(derivation, [
      seed,
      root,
      ...mounts.map((mount) => mount.key),
      ...fetched.map(({ key }) => key),
      ...crates.map((crate) => this.fetchCrate(crate)),
      ...unread,
    ]);
  }

  /** The archive, and those with its patches; only the first where the recipe wants the archive as it is. */
  private fetchSource({ component, packed }: SourceRef, wantedBy: string): { at: string; key: Key }[] {
    const archive = { at: `/src/${component}`, key: this.fetch(component, wantedBy) };
    const { patches = [], version } = this.component(component, wantedBy);
    if (packed === true) return [archive];
    return [archive, ...patches.map((each, index) => this.fetchPatches(patchesName(component, index), version, each))];
  }

  private fetchPatches(name: string, version: string, patches: Patches): { at: string; key: Key } {
    const { archive, sha256, size } = patches;
    const derivation: FetchDerivation = {
      kind: "fetch",
      name,
      version,
      file: path.posix.basename(archive),
      archive,
      urls: [],
      sha256: sha256 as Digest,
      size,
      unverified: undefined,
    };
    return { at: `/src/${name}`, key: this.add(derivation, []) };
  }

  private fetch(component: string, wantedBy: string): Key {
    const pin = this.component(component, wantedBy);
    const digest = (pin.sha256 as Digest | undefined) ?? this.options.pins.get(component);
    const derivation: FetchDerivation = {
      kind: "fetch",
      name: component,
      version: pin.version,
      file: pin.local?.file ?? path.posix.basename(pin.archive ?? pin.urls?.[0] ?? component),
      archive: pin.archive,
      urls: pin.urls ?? [],
      sha256: digest,
      size: pin.size,
      unverified: pin.unverified,
      ...(pin.local === undefined ? {} : { local: pin.local }),
    };
    return this.add(derivation, []);
  }

  /** Those of every list and lock file that the recipe names, each once, and the outputs whose lock files are not there. */
  private crates(recipe: Recipe): { readonly crates: readonly Crate[]; readonly unread: readonly Key[] } {
    const found = new Map<string, Crate>();
    const unread: Key[] = [];
    for (const each of recipe.crates) {
      const list = typeof each === "string" ? this.crateList(each, recipe.name) : this.lockedIn(each);
      if (list === undefined) unread.push(this.output((each as LockedCrates).of));
      else for (const crate of list) found.set(crateAt(crate.crate, crate.version), crate);
    }
    unread.forEach((key) => this.pending.add(key));
    return { crates: [...found.values()], unread };
  }

  private crateList(list: string, wantedBy: string): readonly Crate[] {
    const crates = this.options.channel.crates?.[list];
    if (crates !== undefined) return crates;
    throw new Fault("E_MISSING_SOURCE", `there is no list of crates "${list}"`, {
      details: [`wanted by ${wantedBy}`],
      hint: "`node scripts/lock-crates.mjs` makes it from Cargo.lock",
    });
  }

  /** Undefined when the output with the lock file is not there yet. */
  private lockedIn({ of, lock }: LockedCrates): readonly Crate[] | undefined {
    const text = this.options.readOutput?.(this.output(of), lock);
    if (text === undefined) return undefined;
    try {
      return lockedCrates(text);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      throw new Fault("E_CARGO_LOCK", `${lock} of ${of.name} ${error.message}`, {
        hint: "the crates that a source is built with are those of its own lock file",
        cause: error,
      });
    }
  }

  private fetchCrate({ crate, version, sha256 }: Crate): Key {
    const derivation: FetchDerivation = {
      kind: "fetch",
      name: crate,
      version,
      file: `${crate}-${version}.crate`,
      archive: undefined,
      urls: [],
      crate,
      sha256: sha256 as Digest,
      size: undefined,
      unverified: undefined,
    };
    return this.add(derivation, []);
  }

  private sourceDigest(key: Key): Digest {
    const derivation = this.nodes.get(key)?.derivation as FetchDerivation;
    // an unpinned source has no digest yet: the step's key is provisional until the first download pins it
    return derivation.sha256 ?? (`unpinned-${key}` as Digest);
  }

  private component(name: string, wantedBy: string): Component {
    return componentOf(this.channel, name, wantedBy);
  }

  private files(relative: string, wantedBy: string): FileMount[] {
    const full = this.placeOf(relative);
    if (!existsSync(full))
      throw new Fault("E_MISSING_FILE", `${relative.startsWith(OWN) ? full : relative} does not exist`, {
        details: [`wanted by recipe ${wantedBy}`],
      });
    if (statSync(full).isDirectory()) {
      const names = readdirSync(full).sort((a, b) => (a < b ? -1 : 1));
      return names.flatMap((name) => this.files(`${relative}/${name}`, wantedBy));
    }
    let digest = this.digests.get(full);
    if (digest === undefined) this.digests.set(full, (digest = sha256(readFileSync(full))));
    const executable = (statSync(full).mode & 0o100) !== 0;
    const from = relative.startsWith(OWN) ? full : relative;
    return [{ at: `/files/${relative}`, from, sha256: digest, executable }];
  }

  private placeOf(relative: string): string {
    const { project, own } = this.options;
    if (!relative.startsWith(OWN)) return path.join(project, relative);
    if (own === undefined) throw new Error(`${relative} is asked for, and there is no folder of an image`);
    return path.join(own, relative.slice(OWN.length));
  }

  private add(derivation: Derivation, needs: readonly Key[]): Key {
    const key = keyOf(derivation);
    if (!this.nodes.has(key)) this.nodes.set(key, { key, derivation, needs: [...new Set(needs)] });
    return key;
  }
}

const crateAt = (crate: string, version: string): string => `/src/crates/${crate}-${version}.crate`;

function seedOf(recipe: Recipe): Seed {
  return recipe.root.kind === "seed" ? recipe.root : seedOf(recipe.root);
}

/** What a channel pins, for scripts that differ by version. Its functions throw E_MISSING_SOURCE. */
export function versionsOf(channel: Channel): Versions {
  const of = (component: string): string => componentOf(channel, component, "a script").version;
  return {
    of,
    has: (component) => component in channel.components,
    atLeast: (component, version) => compareVersions(of(component), version) >= 0,
    patches: (component) => componentOf(channel, component, "a script").patches ?? [],
    local: (component) => {
      const pin = channel.components[component];
      return pin?.local === undefined ? undefined : `${component} ${pin.version}, sha256 ${pin.sha256}`;
    },
  };
}

function componentOf({ name: channel, components }: Channel, name: string, wantedBy: string): Component {
  const pin = components[name];
  if (pin !== undefined) return pin;
  throw new Fault("E_MISSING_SOURCE", `channel "${channel}" has no source "${name}"`, {
    details: [`wanted by ${wantedBy}`, `known: ${Object.keys(components).sort().join(", ")}`],
    hint: `add it to channels/${channel}.json, or use another channel`,
  });
}

/** Numeric comparison part by part; a missing part counts as 0. Negative, zero or positive. */
export function compareVersions(a: string, b: string): number {
  const parts = (version: string): number[] => version.split(/[^0-9]+/).map(Number);
  const [left, right] = [parts(a), parts(b)];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
