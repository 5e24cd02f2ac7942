/** Runs the bundled command line as a user does, with a cache folder of its own. */
import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { Wrap } from "../forge/confined.ts";

export const root = projectRoot(path.dirname(fileURLToPath(import.meta.url)));

/** The folder of package.json: a bundled test runs from a folder below dist. */
function projectRoot(folder: string): string {
  return existsSync(path.join(folder, "package.json")) ? folder : projectRoot(path.dirname(folder));
}

export interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface AnvilOptions {
  /** Folder with `dist/`, `channels/` and so on; default: this project. */
  readonly project?: string;
  readonly cache: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Something is taken from the machine. */
  readonly wrap?: Wrap;
  /** Standard input. Default: none. */
  readonly input?: string;
}

export function anvil(
  args: readonly string[],
  { project = root, cache, env = {}, wrap = (command, all) => ({ command, args: all }), input }: AnvilOptions,
): Promise<Ended> {
  const run = wrap(process.execPath, [path.join(project, "dist/anvil.mjs"), ...args]);
  const options = { env: { ANVIL_CACHE: cache, ...env }, cwd: cache };
  return new Promise((resolve, reject) => {
    const child = execFile(run.command, run.args, options, (error, stdout, stderr) => {
      const status = error === null ? 0 : error.code;
      if (typeof status === "number") resolve({ status, stdout, stderr });
      else reject(error ?? new Error("ended without a status"));
    });
    if (input !== undefined) child.stdin?.end(input);
  });
}

/** A folder that is gone after the test. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), "anvil-cli-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A project with this one's program and files, and channels that may be changed. */
export function copyOfProject(t: TestContext): string {
  const copy = temporaryFolder(t);
  const dist = path.join(root, "dist");
  mkdirSync(path.join(copy, "dist"));
  for (const name of readdirSync(dist).filter((each) => each === "chunk" || each.endsWith(".mjs")))
    cpSync(path.join(dist, name), path.join(copy, "dist", name), { recursive: true });
  cpSync(path.join(root, "channels"), path.join(copy, "channels"), { recursive: true });
  for (const name of ["node_modules", "system", "native"]) symlinkSync(path.join(root, name), path.join(copy, name));
  return copy;
}
