export interface Interrupt {
  readonly signal: AbortSignal;
  close(): void;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** The first signal stops the run in order; a second one ends the process at once. */
export function onInterrupt(): Interrupt {
  const controller = new AbortController();
  const stop = (): void => (controller.signal.aborted ? process.exit(INTERRUPTED) : controller.abort());
  for (const signal of SIGNALS) process.on(signal, stop);
  return {
    signal: controller.signal,
    close: () => SIGNALS.forEach((signal) => process.off(signal, stop)),
  };
}

/** Exit status of a command that a signal has stopped. */
export const INTERRUPTED = 130;
