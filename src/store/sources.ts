/** Downloads by their hash, in one folder. */
import { existsSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import type { Digest } from "../recipe/derivation.ts";
import type { Sources } from "./store.ts";
import { hashFile } from "./tree.ts";

export class DiskSources implements Sources {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  has(sha256: Digest): boolean {
    return existsSync(this.path(sha256));
  }

  path(sha256: Digest): string {
    return path.join(this.#folder, sha256);
  }

  all(): Digest[] {
    return readdirSync(this.#folder)
      .filter((name) => /^[0-9a-f]{64}$/.test(name))
      .sort() as Digest[];
  }

  isSound(sha256: Digest): boolean {
    return this.has(sha256) && hashFile(this.path(sha256)) === sha256;
  }

  remove(sha256: Digest): void {
    rmSync(this.path(sha256), { force: true });
    rmSync(`${this.path(sha256)}.checked`, { force: true });
  }
}
