/** What all steps of a run share: the seed with bubblewrap, the sandbox's user, the jobserver. Made when the first step is due. */
import type { Key } from "../recipe/derivation.ts";
import { openSandbox, type SandboxUser } from "../sandbox/sandbox.ts";
import { removeTree } from "../host/remove-tree.ts";
import type { Store } from "../store/store.ts";
import type { Evaluation } from "./evaluate.ts";
import { Jobserver } from "./jobserver.ts";

export interface OpenSandboxes {
  /** Tree of the seed that holds bubblewrap. */
  readonly bubblewrap: string;
  readonly user: SandboxUser;
  readonly jobserver: Jobserver;
}

export interface SandboxesOptions {
  readonly evaluation: Evaluation;
  readonly store: Store;
  readonly jobs: number;
  /** Called once, between the first step and the jobserver. */
  readonly onOpen: () => void;
  readonly onJobserver: (jobserver: Jobserver) => void;
}

export class Sandboxes {
  readonly #options: SandboxesOptions;
  #tree: string | undefined;
  #jobserver: Jobserver | undefined;
  #folder: string | undefined;
  #opened: Promise<OpenSandboxes> | undefined;

  constructor(options: SandboxesOptions) {
    this.#options = options;
  }

  /** Every seed holds bubblewrap; the first that is present serves. */
  seedTree(): string | undefined {
    const { evaluation, store } = this.#options;
    if (this.#tree === undefined) {
      for (const { key, derivation } of evaluation.nodes.values()) {
        if (derivation.kind !== "seed" || !store.outputs.has(key)) continue;
        this.#tree = store.outputs.path(key);
        break;
      }
    }
    return this.#tree;
  }

  /** @param seed one whose bytes were verified for this run; another one in the store may not have been */
  open(seed: Key): Promise<OpenSandboxes> {
    this.#tree ??= this.#options.store.outputs.path(seed);
    return (this.#opened ??= this.#open(this.#tree));
  }

  /** The FIFO is made with the tools of the seed. */
  async #open(bubblewrap: string): Promise<OpenSandboxes> {
    const { store, jobs, onOpen, onJobserver } = this.#options;
    const user = await openSandbox(bubblewrap);
    onOpen();
    this.#folder = store.workFolder("jobserver");
    const jobserver = new Jobserver(bubblewrap, this.#folder, jobs);
    onJobserver(jobserver);
    this.#jobserver = jobserver;
    return { bubblewrap, user, jobserver };
  }

  /** Nothing runs any more. */
  close(): void {
    this.#jobserver?.close();
    if (this.#folder !== undefined) removeTree(this.#folder);
  }
}
