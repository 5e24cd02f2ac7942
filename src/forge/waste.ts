/** Work folders that nobody needs any more, deleted beside the rest: a kernel tree takes seconds, which nobody should wait for. */
import { spawn } from "node:child_process";
import { seedProgram } from "../sandbox/sandbox.ts";
import { removeTree } from "../host/remove-tree.ts";
import { walk } from "../store/tree.ts";

export class Waste {
  /** Tree of a seed, whose programs delete what is large; undefined while there is none. */
  readonly #seedTree: () => string | undefined;
  readonly #deletions: Promise<unknown>[] = [];
  /** Left by forges that were killed, until there is a seed to delete it with. */
  #abandoned: readonly string[] = [];

  constructor(seedTree: () => string | undefined) {
    this.#seedTree = seedTree;
  }

  /** To be deleted as soon as there is a seed to do it with. */
  found(abandoned: readonly string[]): void {
    this.#abandoned = abandoned;
  }

  /** Begins with what was found, if there is a seed by now. */
  discardFound(): void {
    if (this.#abandoned.length === 0 || this.#seedTree() === undefined) return;
    this.discard(...this.#abandoned);
    this.#abandoned = [];
  }

  /** There must be a seed. */
  discard(...folders: string[]): void {
    const large = folders.filter((folder) => !deleteIfSmall(folder));
    if (large.length > 0) this.#deletions.push(this.#deleteFolders(large));
  }

  /** Waits until all is deleted. */
  async end(): Promise<void> {
    this.discardFound();
    await Promise.all(this.#deletions);
  }

  async #deleteFolders(folders: readonly string[]): Promise<void> {
    if (await this.#runTool("usr/bin/rm", ["-rf", ...folders])) return;
    // copies of outputs are read-only, and only root can empty folders without permissions
    await this.#runTool("usr/bin/chmod", ["-R", "u+rwX", ...folders]);
    await this.#runTool("usr/bin/rm", ["-rf", ...folders]);
  }

  #runTool(program: string, args: readonly string[]): Promise<boolean> {
    const tree = this.#seedTree();
    if (tree === undefined) throw new Error("there is no seed to delete folders with");
    const { command, args: all, env } = seedProgram(tree, program, args);
    const child = spawn(command, all, { env, stdio: "ignore", detached: true });
    return new Promise((resolve) =>
      child.on("close", (status) => resolve(status === 0)).on("error", () => resolve(false)),
    );
  }
}

/** For so many entries a process that deletes them costs more than they do. */
const FEW = 30;

/** Says false for a folder that is large, or that resists: a process that was just killed may still write in it. */
function deleteIfSmall(folder: string): boolean {
  let entries = 0;
  try {
    for (const _ of walk(folder)) if (++entries > FEW) return false;
    removeTree(folder);
    return true;
  } catch {
    return false;
  }
}
