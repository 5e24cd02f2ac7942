/** The chain of steps by Nix, where it is installed: a baseline from outside. With its sandbox, in a store of its own. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { projectRoot, temporaryFolder, type Cleanup } from "../test/forge/rig.ts";

export interface Nix {
  readonly version: string;
  /** A static shell: the sandbox holds nothing else. */
  readonly shell: string;
}

/** Nix and a static busybox of this machine, when both are there. */
export function findNix(): Nix | undefined {
  const found = spawnSync("nix-build", ["--version"], { encoding: "utf8" });
  const shell = spawnSync("sh", ["-c", "command -v busybox"], { encoding: "utf8" });
  if (found.status !== 0 || shell.status !== 0) return undefined;
  return { version: found.stdout.trim(), shell: shell.stdout.trim() };
}

/** Milliseconds per step: of a chain of `steps`, less a chain of none. */
export function nixChain(t: Cleanup, nix: Nix, steps: number): number {
  return (build(t, nix, steps) - build(t, nix, 0)) / steps;
}

function build(t: Cleanup, nix: Nix, length: number): number {
  const folder = temporaryFolder(t);
  const place = (name: string): string => {
    const full = path.join(folder, name);
    mkdirSync(full);
    return full;
  };
  const env = {
    ...process.env,
    NIX_REMOTE: "",
    NIX_STORE_DIR: path.join(folder, "store"),
    NIX_STATE_DIR: path.join(folder, "state"),
    NIX_LOG_DIR: path.join(folder, "log"),
    NIX_CONF_DIR: place("conf"),
    HOME: place("home"),
  };
  const options = {
    sandbox: "true",
    "sandbox-paths": `/bin/sh=${nix.shell}`,
    "build-users-group": "",
    substitute: "false",
  };
  const args = [
    ...[path.join(projectRoot, "bench/chain.nix"), "--no-out-link", "--arg", "length", String(length)],
    ...Object.entries(options).flatMap(([name, value]) => ["--option", name, value]),
  ];
  const started = performance.now();
  const { status, stdout, stderr } = spawnSync("nix-build", args, { env, encoding: "utf8" });
  const took = performance.now() - started;
  if (status !== 0) throw new Error(`nix-build: ${stderr}`);
  if (readFileSync(stdout.trim(), "utf8") !== `${length}\n`) throw new Error("Nix's chain does not count");
  return took;
}
