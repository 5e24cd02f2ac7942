import type { Listener } from "../forge/events.ts";

/**
 * A consumer of events that shows them. `close` ends it, whether or not the last event came: it gives the terminal back
 * and may be called more than once.
 */
export type View = Listener & { close(): void };
