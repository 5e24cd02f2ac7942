/** Where the forge keeps things: `$XDG_CACHE_HOME/anvil`, or `~/.cache/anvil`. Everything in it can be made again. */
import path from "node:path";

export interface Paths {
  readonly top: string;
  /** Verified downloads, named by their SHA-256. */
  readonly sources: string;
  /** `<key>-<name>` folders and `<key>.json` records. */
  readonly outputs: string;
  /** Work in progress; whatever no living process owns can be deleted. */
  readonly tmp: string;
  readonly locks: string;
  /** A socket for each living process that holds a lock or has work in progress. */
  readonly alive: string;
  /** What living processes work with, a file each. */
  readonly uses: string;
  readonly logs: string;
}

export function storePaths(env: Readonly<Record<string, string | undefined>>, home: string): Paths {
  const configured =
    env["ANVIL_CACHE"] ?? (env["XDG_CACHE_HOME"] ? path.join(env["XDG_CACHE_HOME"], "anvil") : undefined);
  const top = path.resolve(configured ?? path.join(home, ".cache", "anvil"));
  return {
    top,
    sources: path.join(top, "sources"),
    outputs: path.join(top, "store"),
    tmp: path.join(top, "tmp"),
    locks: path.join(top, "locks"),
    alive: path.join(top, "alive"),
    uses: path.join(top, "uses"),
    logs: path.join(top, "log"),
  };
}
