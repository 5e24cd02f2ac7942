/** What all have in common that speak with a running Monolith: which one, and the line to it. */
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Fault } from "../fault/fault.ts";
import { describeOwner, isElsewhere } from "../host/owner.ts";
import { Client } from "../inject/client.ts";
import { machineDestination, sshDestination, type Destination } from "../inject/transport.ts";
import { otherMachine } from "../store/fitness.ts";
import type { Lock } from "../store/lock.ts";
import type { Store } from "../store/store.ts";
import { findMachine } from "../vm/state.ts";
import type { Project } from "./project.ts";

/** Short exchanges of others, such as looks at what the machine builds, are waited for: five seconds. */
const BUSY_WAIT = 100;
const BUSY_ATTEMPTS = 50;

/** Which Monolith is meant: a machine here by name, or one that ssh reaches. */
export interface Address {
  readonly to?: string | undefined;
  readonly machine?: string | undefined;
}

/** Finds the Monolith for `act`. One process at a time speaks with a machine: else E_INGOT_BUSY. */
export async function withDestination<T>(
  { to, machine }: Address,
  store: Store,
  act: (destination: Destination) => Promise<T>,
): Promise<T> {
  refuseBoth({ to, machine });
  if (to !== undefined) return act(sshDestination(to));
  const state = await findMachine(store.paths.top, machine);
  const lock = await lockLine(store, `ingot-${state.name}`);
  try {
    return await act(machineDestination(state));
  } finally {
    lock.release();
  }
}

/** Throws E_USAGE. */
export function refuseBoth({ to, machine }: Address): void {
  if (to !== undefined && machine !== undefined) throw new Fault("E_USAGE", "--to and --machine exclude each other");
}

/** One of the lines to a machine, which one process at a time uses: else E_INGOT_BUSY. */
export async function lockLine(store: Store, line: string): Promise<Lock> {
  for (let attempt = 0; ; attempt++) {
    const name = line.replaceAll(".", "_");
    const lock = await store.lock(name);
    if ("release" in lock) return lock;
    if (isElsewhere(lock.heldBy)) throw otherMachine(path.join(store.paths.locks, name), `the line ${line}`);
    if (attempt === BUSY_ATTEMPTS)
      throw new Fault("E_INGOT_BUSY", `the line ${line} is in use already`, {
        details: [`by ${describeOwner(lock.heldBy)}`],
        hint: "wait until that one is done",
      });
    await sleep(BUSY_WAIT);
  }
}

/** A line to the Monolith for one exchange. */
export function withClient<T>(
  project: Project,
  address: Address,
  signal: AbortSignal,
  act: (client: Client) => Promise<T>,
): Promise<T> {
  return withDestination(address, project.store, async (destination) => {
    const client = await Client.open(destination, signal);
    return act(client).finally(() => client.close());
  });
}
