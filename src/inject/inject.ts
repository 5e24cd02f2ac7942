/** Sends an ingot to a running Monolith and says how it goes. */
import { performance } from "node:perf_hooks";
import { Client, type Facts } from "./client.ts";
import type { InjectEventBody, InjectListener } from "./events.ts";
import type { Ingot } from "./ingot-file.ts";
import type { Destination } from "./transport.ts";

export interface InjectOptions {
  readonly allowDowngrade: boolean;
  readonly signal: AbortSignal;
  readonly on: InjectListener;
}

/** Returns what the Monolith reports. Throws its refusal, and what `Client` throws. */
export async function inject(
  ingot: Ingot,
  destination: Destination,
  { allowDowngrade, signal, on }: InjectOptions,
): Promise<Facts> {
  const started = performance.now();
  const emit = (event: InjectEventBody): void => on({ t: performance.now() - started, ...event });
  emit({ type: "connect", to: destination.to });
  const client = await Client.open(destination, signal);
  try {
    const { system, pool, kept } = client.system;
    emit({ type: "system", system, pool, kept });
    const { name, version, entries } = ingot.manifest;
    const files = entries.filter(({ kind }) => kind === "file").length;
    emit({ type: "ingot", name, version, key: ingot.key, bytes: ingot.stored, files });
    const { sent, facts } = await client.add(ingot, {
      allowDowngrade,
      onPhase: (phase) => emit({ type: "phase", phase }),
      onProgress: (bytes) => emit({ type: "progress", bytes, total: ingot.stored }),
    });
    emit({ type: "injected", sent, facts });
    return facts;
  } finally {
    client.close();
  }
}
