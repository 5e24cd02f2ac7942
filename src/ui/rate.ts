/** The speed of a download over its last seconds. A resumed download counts only what came in this run. */
export class Rate {
  static readonly #window = 5_000;
  static readonly #spacing = 250;
  /** So long may the next piece take before the download counts as slow. */
  static readonly #patience = 1_000;
  #samples: { readonly t: number; readonly bytes: number }[] = [];
  #last: { readonly t: number; readonly bytes: number } | undefined;

  /** `bytes` were there at `t` milliseconds. */
  add(t: number, bytes: number): void {
    this.#last = { t, bytes };
    const previous = this.#samples.at(-1);
    if (previous !== undefined && t - previous.t < Rate.#spacing) return;
    this.#samples.push(this.#last);
    // one sample older than the window stays, so that there always is one to compare with
    while ((this.#samples[1]?.t ?? t) <= t - Rate.#window) this.#samples.shift();
  }

  /** Starts anew: another server may be slower or faster. */
  reset(): void {
    this.#samples = [];
    this.#last = undefined;
  }

  /** Bytes per second as of `now`, or undefined while too little is known. It falls while nothing comes. */
  perSecond(now: number): number | undefined {
    const first = this.#samples[0];
    if (first === undefined || this.#last === undefined) return undefined;
    const ms = Math.max(this.#last.t, now - Rate.#patience) - first.t;
    return ms < Rate.#spacing ? undefined : Math.max(0, (1000 * (this.#last.bytes - first.bytes)) / ms);
  }
}
