/** What commands share that speak with a running Monolith: which one, and the line to it. */
import { Fault } from "../fault/fault.ts";
import { Client } from "../inject/client.ts";
import { machineTransport, sshTransport, type Transport } from "../inject/transport.ts";
import type { Store } from "../store/store.ts";
import { findMachine } from "../vm/state.ts";
import { openStore } from "./command.ts";
import { onInterrupt } from "./realise-options.ts";

export const connectOptions = {
  to: { type: "string" },
  machine: { type: "string" },
} as const;

export interface ConnectValues {
  readonly to?: string | undefined;
  readonly machine?: string | undefined;
}

export const connectHelp = `\
  --machine <name>     the machine, when several run (\`anvil boot\` starts one)
  --to <address>       ssh://[user@]host[:port] instead: a system with sshd, by means of your own ssh`;

/** Opens the line, hands it to `act` and closes it. One process at a time speaks with a machine: else E_INGOT_BUSY. */
export async function withTransport<T>(
  { to, machine }: ConnectValues,
  store: Store,
  act: (transport: Transport) => Promise<T>,
): Promise<T> {
  if (to !== undefined) {
    if (machine !== undefined) throw new Fault("E_USAGE", "--to and --machine exclude each other");
    return closing(sshTransport(to), act);
  }
  const state = findMachine(store.paths.top, machine);
  const lock = store.lock(`ingot-${state.name.replaceAll(".", "_")}`);
  if ("heldBy" in lock)
    throw new Fault("E_INGOT_BUSY", `machine "${state.name}" is being spoken to already`, {
      details: [`by process ${lock.heldBy.split(".")[0]}`],
      hint: "wait until that one is done",
    });
  try {
    return await closing(await machineTransport(state), act);
  } finally {
    lock.release();
  }
}

async function closing<T>(transport: Transport, act: (transport: Transport) => Promise<T>): Promise<T> {
  try {
    return await act(transport);
  } finally {
    transport.close();
  }
}

/** For commands of one exchange. A signal ends them with 130. */
export async function withClient(values: ConnectValues, act: (client: Client) => Promise<number>): Promise<number> {
  const interrupt = onInterrupt();
  try {
    return await withTransport(values, openStore(), async (transport) =>
      act(await Client.over(transport, interrupt.signal)),
    );
  } catch (error) {
    if (interrupt.signal.aborted) return 130;
    throw error;
  } finally {
    interrupt.close();
  }
}
