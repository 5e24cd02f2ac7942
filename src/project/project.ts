/** A project folder with all that a command may ask of it: the store, the channel, the recipes, this user's keys. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { errno } from "../fault/fault.ts";
import { evaluate, type Evaluation } from "../forge/evaluate.ts";
import { withLocalSources, type LocalOptions } from "../forge/local-sources.ts";
import { outputReader } from "../forge/plan.ts";
import { replaceFile } from "../host/replace-file.ts";
import { readAuthorizedKeys } from "../inject/authorized-keys.ts";
import { keyPaths, trustedKeys, type KeyPaths } from "../inject/key-file.ts";
import type { Catalogue } from "../recipe/catalogue.ts";
import type { Channel } from "../recipe/channel.ts";
import type { Digest } from "../recipe/derivation.ts";
import type { Output } from "../recipe/recipe.ts";
import { chooseChannel, settleChannel, type ChannelChoice, type ChoiceOptions } from "../source/channel-choice.ts";
import { storePaths } from "../store/paths.ts";
import { DiskStore } from "../store/disk-store.ts";
import type { Store } from "../store/store.ts";
import { Targets } from "./targets.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** What a project is made of. Nothing of it is read before it is needed. */
export interface Surroundings {
  /** Folder with `channels/`, `system/` and `native/`. */
  readonly root: string;
  readonly env: Environment;
  /** The user's home folder. */
  readonly home: string;
  /** Folder of a user's, which may have an image. */
  readonly folder?: string;
  readonly catalogue: () => Promise<Catalogue>;
}

/** Which sources a command is about. */
export interface SourceValues {
  /** Name of the channel. */
  readonly channel: string;
  /** `name=path`, each in the place of a pin. */
  readonly source: readonly string[];
}

export class Project {
  readonly root: string;
  readonly env: Environment;
  readonly home: string;
  readonly folder: string | undefined;
  /** Where this user's keys for ingots are. */
  readonly keys: KeyPaths;
  readonly #catalogue: () => Promise<Catalogue>;
  #store: Store | undefined;
  #targets: Promise<Targets> | undefined;
  /** Choices of channels by the list of a command's sources. */
  readonly #settled = new WeakMap<readonly string[], Promise<ChannelChoice>>();

  constructor({ root, env, home, folder, catalogue }: Surroundings) {
    this.root = root;
    this.env = env;
    this.home = home;
    this.folder = folder;
    this.keys = keyPaths(env, home);
    this.#catalogue = catalogue;
  }

  /** Opened at its first use, which throws what `DiskStore.open` throws. */
  get store(): Store {
    return (this.#store ??= DiskStore.open(storePaths(this.env, this.home)));
  }

  targets(): Promise<Targets> {
    const { keys } = this;
    return (this.#targets ??= this.#catalogue().then(
      (catalogue) => new Targets(catalogue, { trust: () => trustedKeys(keys), logins: () => this.logins() }),
    ));
  }

  /** SSH public keys of those who may log in to new systems. */
  logins(): string[] {
    return readAuthorizedKeys(this.keys.logins);
  }

  /** The channel that `--channel` names, else that of this folder: for looking at. */
  selectChannel(name: string): Promise<ChannelChoice> {
    return chooseChannel(name, this.choice());
  }

  /** The same with sources of this machine in the place of pins. */
  async selectSources({ channel, source }: SourceValues, options?: LocalOptions): Promise<ChannelChoice> {
    return withLocalSources(await this.selectChannel(channel), source, this.store, options);
  }

  /**
   * The channel that is built from now on, in this folder, with sources of this machine in the place of pins. They are read
   * once in a command, however many parts it builds: all of them are made of the same bytes.
   */
  buildChannel({ channel, source }: SourceValues, options?: LocalOptions): Promise<ChannelChoice> {
    const settle = async (): Promise<ChannelChoice> =>
      withLocalSources(await settleChannel(channel, this.choice()), source, this.store, options);
    const choice = this.#settled.get(source) ?? settle();
    this.#settled.set(source, choice);
    return choice;
  }

  private choice(): ChoiceOptions {
    const environment = this.env["ANVIL_CHANNEL"];
    return { projectRoot: this.root, environment: environment === "" ? undefined : environment };
  }

  /** The plan of these, with the pins that were accepted. Throws what `evaluate` throws. */
  evaluate(targets: readonly Output[], channel: Channel): Evaluation {
    const { root, folder, store } = this;
    const readOutput = outputReader(store);
    return evaluate(targets, { project: root, own: folder, channel, pins: this.pins(channel), readOutput });
  }

  /** Digests of unpinned sources that an earlier, accepted download found: component → SHA-256. */
  pins(channel: Channel): ReadonlyMap<string, Digest> {
    try {
      const pins = JSON.parse(readFileSync(this.pinFile(channel), "utf8")) as Record<string, Digest>;
      return new Map(Object.entries(pins));
    } catch (error) {
      if (errno(error) === "ENOENT") return new Map();
      throw error;
    }
  }

  keepPin(channel: Channel, component: string, sha256: Digest): void {
    const pins = new Map([...this.pins(channel), [component, sha256]]);
    replaceFile(this.pinFile(channel), `${JSON.stringify(Object.fromEntries(pins), null, 1)}\n`);
  }

  private pinFile({ name }: Channel): string {
    return path.join(this.store.paths.top, `pins-${name}.json`);
  }

  /** Events of the last forge, a line each. */
  get lastRunFile(): string {
    return path.join(this.store.paths.logs, "last-run.jsonl");
  }
}
