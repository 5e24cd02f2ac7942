/**
 * What living processes work with. Whoever builds says so before it looks at what is there; whoever clears up removes
 * nothing of that. Both hold the same lock meanwhile, so that nothing vanishes after it was found.
 */
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { errno } from "../fault/fault.ts";
import { isElsewhere, ownerIn, type Owners } from "../host/owner.ts";
import type { Digest, Key } from "../recipe/derivation.ts";
import { otherMachine } from "./fitness.ts";
import type { Lock, Locks } from "./lock.ts";
import type { Paths } from "./paths.ts";

/** Outputs and downloads. */
export interface Used {
  readonly keys: ReadonlySet<Key>;
  readonly sources: ReadonlySet<Digest>;
}

/** Until it is released, or the process ends. */
export interface Use {
  release(): void;
}

/** The name of the lock. */
const LOCK = "uses";

export class Uses {
  readonly #paths: Paths;
  readonly #owners: Owners;
  readonly #locks: Locks;

  constructor(paths: Paths, owners: Owners, locks: Locks) {
    this.#paths = paths;
    this.#owners = owners;
    this.#locks = locks;
  }

  /** From now on nobody removes these. What of them is there has to be looked at afterwards. */
  async announce({ keys, sources }: Used): Promise<Use> {
    const file = path.join(this.#paths.uses, `${this.#owners.self()}.${randomBytes(6).toString("hex")}`);
    await this.#locked(() => writeFileSync(file, JSON.stringify({ keys: [...keys], sources: [...sources] })));
    return { release: () => rmSync(file, { force: true }) };
  }

  /** What is used now. */
  current(): Promise<Used> {
    return this.#locked(() => this.#read());
  }

  /** Removes one thing unless it is used; says whether it was removed. */
  removeUnused(what: Key | Digest, remove: () => void): Promise<boolean> {
    return this.#locked(async () => {
      const { keys, sources } = await this.#read();
      if (keys.has(what as Key) || sources.has(what as Digest)) return false;
      remove();
      return true;
    });
  }

  /** Living processes that work in the store without saying on what, as older versions do. */
  async silent(): Promise<string[]> {
    const said = new Set(readdirSync(this.#paths.uses).map(ownerIn));
    const working = new Set(readdirSync(this.#paths.tmp).map(ownerIn));
    const silent: string[] = [];
    for (const owner of working) {
      if (owner === undefined || said.has(owner) || owner === this.#owners.self()) continue;
      if (await this.#owners.isAlive(owner)) silent.push(owner);
    }
    return silent;
  }

  async #read(): Promise<Used> {
    const keys = new Set<Key>();
    const sources = new Set<Digest>();
    for (const name of readdirSync(this.#paths.uses)) {
      if (!(await this.#owners.isAlive(ownerIn(name) ?? ""))) continue;
      const used = readIfThere(path.join(this.#paths.uses, name));
      used?.keys.forEach((key) => keys.add(key));
      used?.sources.forEach((sha256) => sources.add(sha256));
    }
    return { keys, sources };
  }

  async #locked<T>(act: () => T | Promise<T>): Promise<T> {
    const lock = await this.#takeLock();
    try {
      return await act();
    } finally {
      lock.release();
    }
  }

  /** It is held for moments only. Throws E_CACHE_NETWORK. */
  async #takeLock(): Promise<Lock> {
    for (;;) {
      const lock = await this.#locks.take(LOCK);
      if ("release" in lock) return lock;
      if (isElsewhere(lock.heldBy)) throw otherMachine(path.join(this.#paths.locks, LOCK), "the list of uses");
      await sleep(10);
    }
  }
}

/** Its owner may be releasing it. A living one has written it whole: the lock was held. */
function readIfThere(file: string): { readonly keys: readonly Key[]; readonly sources: readonly Digest[] } | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as ReturnType<typeof readIfThere>;
  } catch (error) {
    if (errno(error) === "ENOENT") return undefined;
    throw error;
  }
}
