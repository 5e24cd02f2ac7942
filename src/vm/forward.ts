/** TCP ports of a machine at the host: how a person writes them, and whether they are free. */
import { createServer, isIPv4 } from "node:net";
import { errno, Fault } from "../fault/fault.ts";
import type { Forward } from "./options.ts";

/** Where a forwarded port is unless another address is named: other machines do not reach it. */
export const LOOPBACK = "127.0.0.1";

const FORM = "[<address>:]<port here>:<port there>, such as 2222:22";
const HIGHEST_PORT = 65535;

/** Reads `2222:22` and `192.0.2.1:2222:22`. Throws E_USAGE, also when two forwards want the same port of the host. */
export function parseForwards(texts: readonly string[]): Forward[] {
  const forwards = texts.map(parseForward);
  for (const [index, forward] of forwards.entries()) {
    const twin = forwards.findIndex((other) => overlap(other, forward));
    if (twin < index)
      throw new Fault(
        "E_USAGE",
        `--forward ${texts[index]} and --forward ${texts[twin]} want the same port of this host`,
      );
  }
  return forwards;
}

function parseForward(text: string): Forward & { readonly host: number; readonly address: string } {
  const [, address = LOOPBACK, here, there] = /^(?:([^:]*):)?(\d+):(\d+)$/.exec(text) ?? [];
  if (here === undefined || there === undefined) throw malformed(text, `it wants ${FORM}`);
  if (!isIPv4(address)) throw malformed(text, `"${address}" is no IPv4 address of this host`);
  const outside = [here, there].find((port) => Number(port) < 1 || Number(port) > HIGHEST_PORT);
  if (outside !== undefined) throw malformed(text, `"${outside}" is no port: 1 to ${HIGHEST_PORT}`);
  return { address, host: Number(here), guest: Number(there) };
}

function malformed(text: string, why: string): Fault {
  return new Fault("E_USAGE", `--forward ${text}: ${why}`, {
    hint: "--forward 2222:22 leads from port 2222 here to 22",
  });
}

const EVERY = "0.0.0.0";

function overlap(one: Forward, other: Forward): boolean {
  const address = one.address === other.address || [one.address, other.address].includes(EVERY);
  return address && one.host === other.host;
}

/**
 * Throws E_PORT_TAKEN when a port of the host cannot be listened on. QEMU listens a moment later, and says the same in
 * its own words when another process was quicker.
 */
export async function refuseTakenPorts(forwards: readonly Forward[]): Promise<void> {
  for (const { address = LOOPBACK, host = 0 } of forwards) {
    const why = await whyTaken(address, host);
    if (why !== undefined) throw takenFault(`port ${host} of ${address}`, why);
  }
}

function whyTaken(host: string, port: number): Promise<string | undefined> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      const why = REASONS[errno(error) ?? ""];
      if (why === undefined) reject(error);
      else resolve(why);
    });
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: "another process listens there",
  EACCES: "this user may not listen there: ports below 1024 are for root",
  EPERM: "this user may not listen there",
  EADDRNOTAVAIL: "this host has no such address",
};

function takenFault(place: string, why: string): Fault {
  const other = why === REASONS["EADDRNOTAVAIL"] ? "an address" : "another port";
  return new Fault("E_PORT_TAKEN", `${place} cannot be forwarded`, {
    details: [why],
    hint: `name ${other} of this host: --forward [<address here>:]<port here>:<port there>`,
  });
}

/** What QEMU says when it cannot listen becomes E_PORT_TAKEN; anything else is undefined. */
export function takenByQemu(complaints: readonly string[]): Fault | undefined {
  const said = complaints.find((line) => line.includes("Could not set up host forwarding rule"));
  const [, rule = "a port of this host"] = /rule '([^']*)'/.exec(said ?? "") ?? [];
  return said === undefined ? undefined : takenFault(rule, "another process listens there");
}
