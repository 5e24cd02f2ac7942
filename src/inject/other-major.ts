/** Data of one major version are not read by another: said before an ingot is built or sent. */
import { Fault } from "../fault/fault.ts";
import { Client } from "./client.ts";
import type { Destination } from "./transport.ts";

/** An ingot that keeps data, by name and version. */
export interface Keeper {
  readonly name: string;
  readonly version: string;
}

/**
 * Throws E_INGOT_MAJOR when the system has another major version of this ingot active, whose data it keeps; and what
 * `Client` throws.
 */
export async function refuseOtherMajor(
  { name, version }: Keeper,
  destination: Destination,
  signal: AbortSignal,
): Promise<void> {
  const client = await Client.open(destination, signal);
  const lines: string[] = [];
  try {
    await client.command(["list"], (line) => lines.push(line));
  } finally {
    client.close();
  }
  // name, version, key, state
  const active = lines.map((line) => line.split(" ")).find((each) => each[0] === name && each[3] === "active");
  const before = active?.[1];
  if (before === undefined || major(before) === major(version)) return;
  throw new Fault("E_INGOT_MAJOR", `${destination.to} has ${name} ${before}, this is ${version}`, {
    details: [`data of ${name} ${major(before)} are not read by ${name} ${major(version)}; they are as they were`],
    hint:
      `carry them over: dump them, anvil ingot remove ${name} --data, inject this, load them (docs/db.md);` +
      ` or stay with ${major(before)}: anvil channel`,
  });
}

function major(version: string): string {
  return /^\d+/.exec(version)?.[0] ?? version;
}
