/**
 * Locks between processes, that a kill -9 releases. Node offers no flock(2); a lock is a file that names its owner, who is
 * asked whether it still lives (src/host/owner.ts): so locks hold between containers that share the folder, too.
 */
import { createHash } from "node:crypto";
import { linkSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { errno } from "../fault/fault.ts";
import type { Owners } from "../host/owner.ts";

export interface Lock {
  release(): void;
}

export interface Held {
  /** The owner's name: `describeOwner` has words for it. */
  readonly heldBy: string;
}

export class Locks {
  readonly #folder: string;
  readonly #owners: Owners;

  constructor(folder: string, owners: Owners) {
    this.#folder = folder;
    this.#owners = owners;
  }

  /** Takes the lock, or says who holds it. Does not wait for that one. */
  async take(name: string): Promise<Lock | Held> {
    const file = path.join(this.#folder, name);
    for (;;) {
      if (this.#create(file)) return { release: () => unlinkIfThere(file) };
      const holder = readIfThere(file);
      if (holder === undefined) continue;
      if (await this.#owners.isAlive(holder)) return { heldBy: holder };
      const heir = await this.#removeDead(name, holder);
      if (heir !== undefined) return { heldBy: heir };
    }
  }

  /** The living process that holds the lock, or undefined. */
  async holder(name: string): Promise<string | undefined> {
    const holder = readIfThere(path.join(this.#folder, name));
    return holder !== undefined && (await this.#owners.isAlive(holder)) ? holder : undefined;
  }

  /** link(2) is atomic and never replaces: the lock appears complete with its owner's name, or not at all. */
  #create(file: string): boolean {
    const owner = this.#owners.self();
    const mine = `${file}.${owner}`;
    try {
      writeFileSync(mine, owner);
      linkSync(mine, file);
      return true;
    } catch (error) {
      if (errno(error) === "EEXIST") return false;
      throw error;
    } finally {
      unlinkIfThere(mine);
    }
  }

  /**
   * Removes the lock of a dead owner, or says which living process is about to. Whoever does it holds a lock that is
   * named after that very owner, and looks again before it deletes: nobody else can remove the dead owner's file, so it
   * is never a living one's that goes.
   */
  async #removeDead(name: string, holder: string): Promise<string | undefined> {
    const file = path.join(this.#folder, name);
    const right = await this.take(`dead-${createHash("sha256").update(`${name} ${holder}`).digest("hex")}`);
    if ("heldBy" in right) return right.heldBy;
    if (readIfThere(file) === holder) unlinkIfThere(file);
    right.release();
    return undefined;
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "latin1");
  } catch (error) {
    if (errno(error) === "ENOENT") return undefined;
    throw error;
  }
}

function unlinkIfThere(file: string): void {
  try {
    unlinkSync(file);
  } catch (error) {
    if (errno(error) !== "ENOENT") throw error;
  }
}
