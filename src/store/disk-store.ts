/** The store in a cache folder of this machine. */
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { errno } from "../fault/fault.ts";
import { makeFolder } from "../host/make-folder.ts";
import { ownerIn, Owners } from "../host/owner.ts";
import { replaceFile } from "../host/replace-file.ts";
import { Locks, type Held, type Lock } from "./lock.ts";
import { DiskOutputs } from "./outputs.ts";
import type { Paths } from "./paths.ts";
import { FORMAT, requireFormat } from "./record.ts";
import { DiskSources } from "./sources.ts";
import type { Outputs, Sources, Store } from "./store.ts";
import { Uses } from "./uses.ts";
import { readOnly, writeFault } from "./write-fault.ts";

export class DiskStore implements Store {
  readonly paths: Paths;
  readonly owners: Owners;
  readonly outputs: Outputs;
  readonly sources: Sources;
  readonly uses: Uses;
  readonly #locks: Locks;
  readonly #accepted: ReadonlySet<string>;

  private constructor(paths: Paths, accepted: ReadonlySet<string> = new Set()) {
    this.paths = paths;
    this.owners = new Owners(paths.alive);
    this.#locks = new Locks(paths.locks, this.owners);
    this.#accepted = accepted;
    this.outputs = new DiskOutputs({
      paths,
      accepted,
      self: () => this.owners.self(),
      isLocked: async (key) => (await this.lockHolder(key)) !== undefined,
    });
    this.sources = new DiskSources(paths.sources);
    this.uses = new Uses(paths, this.owners, this.#locks);
  }

  /**
   * Makes the folders. Throws E_READ_ONLY when the cache folder cannot be written, E_CACHE_FORMAT when a newer anvil has
   * written it.
   */
  static open(paths: Paths): DiskStore {
    const format = path.join(paths.top, "format");
    const isNew = !hasFormat(format);
    try {
      for (const folder of [paths.sources, paths.outputs, paths.tmp, paths.locks, paths.uses, paths.logs]) {
        // whatever the umask is, nobody else writes here
        makeFolder(folder, 0o755);
      }
      // what steps print, and addresses of mirrors, which may hold passwords; a folder of another user is that one's to close
      const { mode, uid } = statSync(paths.logs);
      if ((mode & 0o077) !== 0 && uid === process.getuid?.()) chmodSync(paths.logs, 0o700);
      const probe = mkdtempSync(path.join(paths.tmp, "probe-"));
      // another forge may take it for something abandoned and be faster
      rmSync(probe, { recursive: true, force: true });
      if (isNew) replaceFile(format, `${FORMAT}\n`);
    } catch (error) {
      // no folder can be made in some file systems of the kernel
      throw errno(error) === "ENOENT" ? readOnly(error, paths.top) : writeFault(error, paths.top);
    }
    return new DiskStore(paths);
  }

  accepting(ingots: Iterable<string>): DiskStore {
    return new DiskStore(this.paths, new Set([...this.#accepted, ...ingots]));
  }

  lock(key: string): Promise<Lock | Held> {
    return this.#locks.take(key);
  }

  lockHolder(key: string): Promise<string | undefined> {
    return this.#locks.holder(key);
  }

  workFolder(name: string): string {
    return mkdtempSync(path.join(this.paths.tmp, `${this.owners.self()}.${name}-`));
  }

  async abandoned(): Promise<string[]> {
    const { tmp, locks, alive, uses } = this.paths;
    const owned = [
      ...[tmp, uses].flatMap((folder) =>
        readdirSync(folder).map((name) => ({ file: path.join(folder, name), owner: ownerIn(name) ?? "" })),
      ),
      // a lock itself names no owner in its file's name
      ...readdirSync(locks)
        .filter((name) => name.includes("."))
        .map((name) => ({ file: path.join(locks, name), owner: name.slice(name.indexOf(".") + 1) })),
      ...(existsSync(alive) ? readdirSync(alive) : []).map((name) => ({
        file: path.join(alive, name),
        owner: name.replace(/^new\./, ""),
      })),
    ];
    const gone: string[] = [];
    const known = new Map<string, boolean>();
    for (const { file, owner } of owned) {
      if (!known.has(owner)) known.set(owner, await this.owners.isAlive(owner));
      if (known.get(owner) === false) gone.push(file);
    }
    return gone;
  }
}

/** False where no version is named: in a new folder, one of earlier versions, or after a power cut. Throws E_CACHE_FORMAT. */
function hasFormat(file: string): boolean {
  const text = existsSync(file) ? readFileSync(file, "latin1").trim() : "";
  if (text === "") return false;
  requireFormat(/^\d{1,9}$/.test(text) ? Number(text) : text, file);
  return true;
}
