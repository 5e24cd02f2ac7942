/** `anvil inject --in vm`: what an ingot is made of is built in the Monolith that it is for. */
import { Fault } from "../fault/fault.ts";
import { Client } from "../inject/client.ts";
import type { InjectListener } from "../inject/events.ts";
import { inject } from "../inject/inject.ts";
import { Workshop, type Turns } from "../inject/workshop.ts";
import type { Ingot } from "../recipe/ingot.ts";
import { build, type Builder } from "./build.ts";
import { withDestination, type Address } from "./connect.ts";
import { signedIngot } from "./ingots.ts";

/** How an ingot is made and sent. */
export interface Sending {
  readonly builder: Builder;
  readonly address: Address;
  /** Opens what shows the events of an injection. */
  readonly injectView: () => InjectListener & { close(): void };
}

/**
 * Has the steps built there and takes over what they made; what the store has already must be the same. Then the workshop
 * is removed. False when something could not be built. Throws E_NOT_PORTABLE when all of it needs a seed.
 */
export async function buildInMonolith({ name, trees }: Ingot, request: Sending): Promise<boolean> {
  const { builder, address } = request;
  const { store, signal } = builder;
  const accepting = store.accepting([name]);
  const { workshop } = (await builder.project.targets()).catalogue;
  const steps = workshop.steps(trees);
  if (steps.length === 0)
    throw new Fault("E_NOT_PORTABLE", `nothing of ${name} can be built in the Monolith`, {
      hint: "only recipes with a root that was built here can: the others need programs of a seed",
    });
  const signed = await signedIngot(workshop.ingot(name, steps), builder);
  if (signed === undefined) return false;
  const view = request.injectView();
  await withDestination(address, store, (destination) =>
    inject(signed, destination, { allowDowngrade: true, signal, on: view }),
  ).finally(() => {
    view.close();
    return signed.close();
  });
  return withTurns(request, async (turns) => {
    const elsewhere = new Workshop(turns, signed.manifest.name, signed.key, name);
    const built = await build({ ...builder, store: accepting, targets: steps, elsewhere });
    if (built === undefined) return false;
    // all of it is in the store now, and a live system has it in memory
    await turns((client) => client.command(["remove", signed.manifest.name, "data"], () => undefined));
    return true;
  });
}

/**
 * A line to a machine is opened for each turn, so that other commands get theirs; whoever has it is waited for. One over
 * SSH stays open.
 */
async function withTurns<T>({ builder, address }: Sending, act: (turns: Turns) => Promise<T>): Promise<T> {
  const { store, signal } = builder;
  const turn = <R>(work: (client: Client) => Promise<R>): Promise<R> =>
    withDestination(address, store, async (destination) => {
      const client = await Client.open(destination, signal);
      return work(client).finally(() => client.close());
    });
  if (address.to !== undefined) return turn((client) => act((work) => work(client)));
  return act(async (work) => {
    for (;;) {
      try {
        return await turn(work);
      } catch (error) {
        if (!(error instanceof Fault) || error.code !== "E_INGOT_BUSY") throw error;
        if (signal.aborted) throw error;
      }
    }
  });
}
