/**
 * Who may work now: a download takes one of a few slots, everything else a job token. Of those that wait for a token the
 * most urgent goes first.
 */
import type { Key } from "../recipe/derivation.ts";
import type { Evaluation, Node } from "./evaluate.ts";
import type { Jobserver } from "./jobserver.ts";

const DOWNLOADS = 4;

/** Milliseconds between two looks at the jobserver while somebody waits. */
const LOOK_EVERY = 50;

export interface TurnsOptions {
  /** Job tokens. */
  readonly jobs: number;
  /** Who has more of it goes first. */
  readonly urgency: (key: Key) => number;
  /** Called once for each node that has to wait for a token. */
  readonly onWaiting: (key: Key) => void;
}

interface Waiting {
  readonly key: Key;
  readonly grant: () => void;
  told: boolean;
}

export class Turns {
  readonly #options: TurnsOptions;
  readonly #tokenQueue: Waiting[] = [];
  readonly #downloadQueue: (() => void)[] = [];
  #downloads = 0;
  /** Tokens in use while there is no jobserver. */
  #used = 0;
  #jobserver: Jobserver | undefined;
  #poll: NodeJS.Timeout | undefined;
  #granting: NodeJS.Immediate | undefined;

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  async take({ key, derivation }: Node): Promise<void> {
    if (derivation.kind !== "fetch") return this.#takeToken(key);
    while (this.#downloads >= DOWNLOADS) await new Promise<void>((resolve) => this.#downloadQueue.push(resolve));
    this.#downloads += 1;
  }

  end({ derivation }: Node): void {
    if (derivation.kind !== "fetch") return this.#giveToken();
    this.#downloads -= 1;
    this.#downloadQueue.shift()?.();
  }

  /** From now on the tokens are those of the jobserver, which running makes share. It takes over those in use. */
  share(jobserver: Jobserver): void {
    for (let i = 0; i < this.#used; i++) jobserver.tryTake();
    this.#jobserver = jobserver;
  }

  close(): void {
    clearInterval(this.#poll);
  }

  #takeToken(key: Key): Promise<void> {
    return new Promise((grant) => {
      this.#tokenQueue.push({ key, grant, told: false });
      this.#grantSoon();
    });
  }

  #giveToken(): void {
    if (this.#jobserver !== undefined) this.#jobserver.give();
    else this.#used -= 1;
    this.#grantSoon();
  }

  /** Not at once: what becomes ready at the same moment asks one after the other, and the most urgent is to be first. */
  #grantSoon(): void {
    this.#granting ??= setImmediate(() => {
      this.#granting = undefined;
      this.#grantTokens();
    });
  }

  #grantTokens(): void {
    const { urgency, onWaiting } = this.#options;
    const queue = this.#tokenQueue;
    queue.sort((a, b) => urgency(b.key) - urgency(a.key));
    while (queue.length > 0 && this.#tryToken()) queue.shift()?.grant();
    for (const waiting of queue.filter(({ told }) => !told)) {
      waiting.told = true;
      onWaiting(waiting.key);
    }
    // a running make gives tokens back without telling: look again while somebody waits
    if (queue.length > 0) this.#poll ??= setInterval(() => this.#grantTokens(), LOOK_EVERY);
    else {
      clearInterval(this.#poll);
      this.#poll = undefined;
    }
  }

  /** Before the jobserver's FIFO can be made there is only this process to share the tokens with. */
  #tryToken(): boolean {
    if (this.#jobserver !== undefined) return this.#jobserver.tryTake();
    if (this.#used >= this.#options.jobs) return false;
    this.#used += 1;
    return true;
  }
}

/**
 * Expected seconds from the start of a node to the end of everything that waits for it.
 * @param expected seconds by derivation name, from the last run
 */
export function urgencyIn(evaluation: Evaluation, expected: ReadonlyMap<string, number>): (key: Key) => number {
  const urgencies = new Map<Key, number>();
  return (key) => {
    if (urgencies.size === 0) {
      for (const node of [...evaluation.nodes.values()].reverse()) {
        const own = expected.get(node.derivation.name) ?? (node.derivation.kind === "step" ? 10 : 1);
        const total = (urgencies.get(node.key) ?? 0) + own;
        urgencies.set(node.key, total);
        for (const need of node.needs) urgencies.set(need, Math.max(urgencies.get(need) ?? 0, total));
      }
    }
    return urgencies.get(key) ?? 0;
  };
}
