/** What can be named: every recipe reachable from the image, from the ingots and from the checks, by its name. */
import { Fault } from "../fault/fault.ts";
import type { Catalogue } from "../recipe/catalogue.ts";
import type { Channel } from "../recipe/channel.ts";
import { keysOf } from "../recipe/image.ts";
import type { Ingot } from "../recipe/ingot.ts";
import { reachable } from "../recipe/reach.ts";
import { isRecipe, type Output, type Recipe, type Seed } from "../recipe/recipe.ts";
import type { BuiltChannel } from "../source/bracket.ts";
import { isProven } from "../source/channel.ts";

/** Whose keys a new image has. They are read when it is asked for. */
export interface ImageKeys {
  /** Public keys whose ingots it accepts. */
  trust(): readonly string[];
  /** SSH public keys of those who may log in. */
  logins(): readonly string[];
}

export class Targets {
  readonly #images = new Map<string, Recipe>();

  constructor(
    readonly catalogue: Catalogue,
    private readonly keys: ImageKeys,
  ) {}

  /** Whether consoles give a root shell when nobody says: only where there is no other way to log in. */
  usualRootLogin(): boolean {
    return this.everyLogin().length === 0;
  }

  /** SSH public keys of all who may log in. */
  everyLogin(): readonly string[] {
    const { users } = this.catalogue.image;
    return users === undefined ? this.keys.logins() : [...new Set(Object.values(users).flatMap(keysOf))];
  }

  /** SSH public keys of those who may log in as root: the image's, where it has users. */
  logins(): readonly string[] {
    const { users } = this.catalogue.image;
    return users === undefined ? this.keys.logins() : keysOf(users["root"] ?? {});
  }

  /** The image, which accepts this user's ingots and SSH keys. */
  image(rootLogin = this.usualRootLogin()): Recipe {
    const options = { rootLogin, trust: this.keys.trust(), logins: this.logins() };
    const name = JSON.stringify(options);
    const known = this.#images.get(name) ?? this.catalogue.image.make(options);
    this.#images.set(name, known);
    return known;
  }

  /** The outputs of all ingots, as the channel makes them. */
  ingotBodies(channel: Channel): readonly Output[] {
    return this.ingotNames().map((name) => this.ingot(name, channel).body);
  }

  /** Everything that users may want made: what a clean-up keeps. */
  all(): readonly Output[] {
    return [
      this.image(true),
      this.image(false),
      ...this.catalogue.ingots.map(({ body }) => body),
      ...this.catalogue.checks,
    ];
  }

  /** Those of them whose sources this channel pins: some are only in one. */
  of({ components }: Channel): readonly Output[] {
    return this.all().filter((target) => componentsOf([target]).every((name) => name in components));
  }

  /** What a channel's record says was built, with its versions; undefined without a record of its present pins. */
  built(channel: Channel): BuiltChannel | undefined {
    if (channel.proven === undefined || !isProven(channel)) return undefined;
    const names = componentsOf(channel.proven.built.map((name) => this.find(name, true)));
    const versions = names.flatMap((name) => {
      const pin = channel.components[name];
      return pin === undefined ? [] : [[name, pin.version] as const];
    });
    return { name: channel.name, versions: Object.fromEntries(versions) };
  }

  /** All outputs by name, in build order. A seed is called `seed-<name>`. */
  outputs(): ReadonlyMap<string, Output> {
    const named = new Map<string, Output>();
    for (const output of reachable(this.all())) {
      const name = output.kind === "seed" ? `seed-${output.name}` : output.name;
      if (named.has(name)) throw new Error(`two recipes are called ${name}`);
      named.set(name, output);
    }
    return named;
  }

  /** Of the two kinds of `iso`, `rootfs` and so on it is the one that fits `rootLogin`. Throws E_NO_TARGET. */
  find(name: string, rootLogin = this.usualRootLogin()): Output {
    const outputs = this.outputs();
    const closed = rootLogin ? undefined : outputs.get(`${name}${this.catalogue.image.closed}`);
    const output = closed ?? outputs.get(name);
    if (output !== undefined) return output;
    throw new Fault("E_NO_TARGET", `there is no recipe "${name}"`, {
      hint: `recipes: ${[...outputs.keys()].join(", ")}`,
    });
  }

  /** Those of these names, or the image when there is none. Throws E_NO_TARGET. */
  named(names: readonly string[], rootLogin = this.usualRootLogin()): readonly Output[] {
    return names.length === 0 ? [this.image(rootLogin)] : names.map((name) => this.find(name, rootLogin));
  }

  /** Throws E_NO_TARGET. */
  requireIngot(name: string): void {
    if (this.ingotNames().includes(name)) return;
    throw new Fault("E_NO_TARGET", `there is no ingot "${name}"`, {
      hint: `ingots: ${this.ingotNames().join(", ")}; a file: --file <file>`,
    });
  }

  /**
   * The ingot of that name; where there are several, the first that is made of sources which the channel pins without a
   * doubt, or whose doubtful pins are accepted. Throws E_NO_TARGET.
   */
  ingot(name: string, { components }: Channel, accepted: ReadonlySet<string> = new Set()): Ingot {
    this.requireIngot(name);
    const named = this.catalogue.ingots.filter((each) => each.name === name);
    const isPinned = ({ body }: Ingot): boolean =>
      componentsOf([body]).every((component) => {
        const pin = components[component];
        return pin !== undefined && (pin.unverified === undefined || accepted.has(component));
      });
    return named.find(isPinned) ?? (named.at(-1) as Ingot);
  }

  private ingotNames(): string[] {
    return [...new Set(this.catalogue.ingots.map(({ name }) => name))];
  }
}

/** Whether these are or hold a root, which names the keys whose ingots it accepts. */
export function acceptsIngots(targets: readonly Output[]): boolean {
  return [...reachable(targets)].some((output) => isRecipe(output) && output.name.startsWith("rootfs"));
}

/** Every recipe that these need, themselves included. */
export function recipesOf(targets: readonly Output[]): Recipe[] {
  return [...reachable(targets)].filter(isRecipe);
}

/** Names of the channel's components that these outputs are made from; not what recipes pin themselves. */
export function componentsOf(targets: readonly Output[]): string[] {
  return [
    ...new Set(
      recipesOf(targets).flatMap((recipe) =>
        recipe.sources.filter(({ pin }) => pin === undefined).map(({ component }) => component),
      ),
    ),
  ];
}

/** The seeds that these outputs are made with. */
export function seedsOf(targets: readonly Output[]): Seed[] {
  return [...reachable(targets)].filter((output) => output.kind === "seed");
}
