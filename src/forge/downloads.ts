/**
 * Where the downloads of a run come from, found out before anything is built: mirrors, the registry of crates, and whether
 * all that is needed is there.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { replaceFile } from "../host/replace-file.ts";
import type { FetchDerivation, Key } from "../recipe/derivation.ts";
import { namedRegistries, type CrateMirrorChoice } from "../source/crates-mirror.ts";
import type { HttpClient } from "../source/http.ts";
import { debianMirrors, type DebianMirrors, type MirrorChoice } from "../source/mirror.ts";
import { publicMirrors } from "../source/public-mirrors.ts";
import type { Store } from "../store/store.ts";
import { cargoRegistry } from "./cargo-registry.ts";
import type { Evaluation } from "./evaluate.ts";
import { missingFetches } from "./forge.ts";
import { hostsOf, supersededIn, unavailable, type Places } from "./places.ts";

export interface DownloadsOptions {
  readonly store: Store;
  readonly client: HttpClient;
  readonly mirrors: Omit<MirrorChoice, "publicOnes">;
  readonly crates: Omit<CrateMirrorChoice, "cargo">;
  readonly env: Readonly<NodeJS.ProcessEnv>;
}

export interface PrepareOptions {
  readonly signal: AbortSignal;
  /** Say what is absent, and go on. */
  readonly keepGoing: boolean;
  /** Makes a seed; false when it cannot be made, which has been told then. */
  readonly makeSeed: (seed: Key) => Promise<boolean>;
}

const asNotice = ({ code, message, details }: Fault): string => [`${code} ${message}`, ...details].join("; ");

/** Milliseconds for which the registry that cargo named is remembered: a day. */
const REMEMBERED = 86_400_000;

/** The places of one run: each is found out once, and only when something is wanted from there. */
export class Downloads implements Places {
  private found: Promise<DebianMirrors> | undefined;
  private registries: Promise<readonly string[]> | undefined;
  private named: Promise<readonly string[] | undefined> | undefined;

  constructor(
    private evaluation: Evaluation,
    private readonly options: DownloadsOptions,
  ) {}

  /** From now on it is about this plan, which has more to download. */
  follow(evaluation: Evaluation): void {
    this.evaluation = evaluation;
  }

  readonly mirrors = (): Promise<DebianMirrors> => (this.found ??= findMirrors(this.options));

  readonly crates = (): Promise<readonly string[]> => (this.registries ??= this.findRegistries());

  /**
   * The seed that has to be there before crates can be downloaded, because cargo alone knows its registry; undefined when
   * no crate is missing, a registry is named or remembered, or the seed is there.
   */
  async seedForCrates(): Promise<Key | undefined> {
    const { store } = this.options;
    if (!missingFetches(this.evaluation, store).some(({ crate }) => crate !== undefined)) return undefined;
    // one that is named and does not answer is told with all else that cannot be had
    const named = await this.namedRegistries().catch(unlessUsage);
    if (named !== undefined || rememberedTemplate(store) !== undefined) return undefined;
    const seed = cargoSeed(this.evaluation);
    return seed === undefined || store.outputs.has(seed) ? undefined : seed;
  }

  /**
   * Asks whether everything can be had, and has the seed made that is needed to ask for crates. The result is what the user
   * should know; throws E_UNAVAILABLE unless the run is to go on as far as it comes.
   */
  async prepare({ signal, keepGoing, makeSeed }: PrepareOptions): Promise<readonly string[]> {
    const before = await this.problem(signal);
    if (before !== undefined && !keepGoing) throw before;
    const seed = await this.seedForCrates();
    if (seed === undefined) return before === undefined ? [] : [asNotice(before)];
    if (!(await makeSeed(seed))) return [];
    const after = await this.problem(signal);
    if (after !== undefined && !keepGoing) throw after;
    return after === undefined ? [] : [asNotice(after)];
  }

  /** A fault E_UNAVAILABLE, or undefined when all that is missing can be had. */
  private async problem(signal: AbortSignal): Promise<Fault | undefined> {
    const { store, client } = this.options;
    const withoutCrates = (await this.seedForCrates()) !== undefined;
    const fetches = missingFetches(this.evaluation, store).filter(
      ({ crate, sha256 }) => sha256 !== undefined && (crate === undefined || !withoutCrates),
    );
    const found = await unavailable(fetches, this, {
      client,
      signal,
      superseded: supersededIn(this.evaluation.channel),
    });
    if (found === undefined || !withoutCrates) return found;
    const unknown =
      "registry of crates: not asked yet, as cargo alone knows its own, and the seed that brings it is not here";
    return new Fault("E_UNAVAILABLE", found.message, { details: [...found.details, unknown], hint: found.hint ?? "" });
  }

  /** What the first line of a run says about places that nobody named; empty when there is nothing to say. */
  async note(): Promise<string> {
    const fetches = missingFetches(this.evaluation, this.options.store);
    const notes: string[] = [];
    if (fetches.some(isInArchive)) {
      const mirrors = await this.mirrors().catch(ignoreFault);
      if (mirrors?.isPublic === true) {
        notes.push(
          `no Debian mirror is named on this machine: packages come from ${hostsOf(mirrors.archive).join(", ")}`,
        );
      }
    }
    const hasCrates = fetches.some(({ crate }) => crate !== undefined);
    if (hasCrates && (await this.namedRegistries().catch(ignoreFault)) === undefined)
      notes.push("crates from cargo's own registry");
    return notes.join("; ");
  }

  /** Registries that somebody named; undefined when cargo's own is what is left. Throws E_USAGE, E_FETCH. */
  namedRegistries(): Promise<readonly string[] | undefined> {
    return (this.named ??= namedRegistries(this.options.crates));
  }

  /** Whether cargo's own registry is known, or cargo is here to be asked. */
  canAskCargo(): boolean {
    const seed = cargoSeed(this.evaluation);
    return (
      rememberedTemplate(this.options.store) !== undefined ||
      (seed !== undefined && this.options.store.outputs.has(seed))
    );
  }

  private async findRegistries(): Promise<readonly string[]> {
    const { store, env } = this.options;
    const known = (await this.namedRegistries()) ?? rememberedTemplate(store);
    if (known !== undefined) return known;
    const seed = cargoSeed(this.evaluation);
    const crate = Object.values(this.evaluation.channel.crates ?? {}).flat()[0];
    if (seed === undefined || crate === undefined || !store.outputs.has(seed)) {
      throw new Fault("E_NO_CRATES_MIRROR", "no registry of Rust crates is known", {
        details: ["neither cargo's configuration names one, nor is the seed here that brings a cargo"],
        hint: "anvil fetch brings it; or name the sparse index of a registry with --crates-mirror <url> or ANVIL_CRATES_MIRROR=<url>",
      });
    }
    const template = await cargoRegistry({ store, seed: store.outputs.path(seed), crate, env });
    remember(store, template);
    return [template];
  }
}

function findMirrors({ mirrors, store, client }: Omit<DownloadsOptions, "crates" | "env">): Promise<DebianMirrors> {
  const memory = path.join(store.paths.top, "public-mirrors.json");
  return debianMirrors({ ...mirrors, publicOnes: () => publicMirrors({ client, memory }) });
}

/** The mirrors without a plan, for commands that have none. Throws E_NO_MIRROR, E_USAGE. */
export const mirrorsOf = findMirrors;

/** The seed that brings a cargo, if the plan has one. */
export function cargoSeed({ nodes }: Evaluation): Key | undefined {
  for (const { key, derivation } of nodes.values()) {
    const isSeed = derivation.kind === "seed";
    if (isSeed && derivation.packages.some((each) => /^cargo(?:-web)?$/.test(each.package))) return key;
  }
  return undefined;
}

const isInArchive = ({ archive }: FetchDerivation): boolean => archive !== undefined;

function ignoreFault(error: unknown): undefined {
  if (!(error instanceof Fault)) throw error;
  return undefined;
}

function unlessUsage(error: unknown): readonly string[] {
  if (!(error instanceof Fault) || error.code === "E_USAGE") throw error;
  return [];
}

const memoryOf = (store: Store): string => path.join(store.paths.top, "crates.json");

function rememberedTemplate(store: Store): readonly string[] | undefined {
  try {
    const { at, template } = JSON.parse(readFileSync(memoryOf(store), "utf8")) as { at: number; template: string };
    const age = Date.now() - at;
    return age >= 0 && age < REMEMBERED && typeof template === "string" ? [template] : undefined;
  } catch {
    return undefined;
  }
}

/** No more than a convenience: a folder that cannot be written is found out about elsewhere. */
function remember(store: Store, template: string): void {
  try {
    replaceFile(memoryOf(store), JSON.stringify({ at: Date.now(), template }));
  } catch {
    /* asked again then */
  }
}
