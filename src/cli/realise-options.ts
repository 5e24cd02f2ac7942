/** What commands share that realise a plan: options, mirrors, signals. */
import os from "node:os";
import path from "node:path";
import { crateMirrors } from "../source/crates-mirror.ts";
import { debianMirrors } from "../source/mirror.ts";
import { channelOptions } from "./command.ts";

export const mirrorOptions = {
  "debian-mirror": { type: "string", multiple: true, default: [] as string[] },
} as const;

export const realiseOptions = {
  ...channelOptions,
  ...mirrorOptions,
  "crates-mirror": { type: "string", multiple: true, default: [] as string[] },
  "keep-going": { type: "boolean", default: false },
  "accept-unverified": { type: "string", multiple: true, default: [] as string[] },
  json: { type: "boolean", default: false },
  plain: { type: "boolean", default: false },
} as const;

/** Roots of Debian mirrors, best first. Throws E_NO_MIRROR, and E_USAGE for what is not a URL. */
export function mirrors(values: { readonly "debian-mirror": readonly string[] }): Promise<readonly string[]> {
  return debianMirrors({
    flags: values["debian-mirror"],
    environment: process.env["ANVIL_DEBIAN_MIRROR"],
    apt: "/etc/apt",
  });
}

/** Download templates of registries of Rust crates, best first. Throws E_NO_CRATES_MIRROR, E_FETCH, and E_USAGE. */
export function crates(values: { readonly "crates-mirror": readonly string[] }): Promise<readonly string[]> {
  return crateMirrors({
    flags: values["crates-mirror"],
    environment: process.env["ANVIL_CRATES_MIRROR"],
    cargoHome: process.env["CARGO_HOME"] ?? path.join(os.homedir(), ".cargo"),
  });
}

export interface Interrupt {
  readonly signal: AbortSignal;
  close(): void;
}

/** The first signal stops the run in order; a second one ends the process at once. */
export function onInterrupt(): Interrupt {
  const controller = new AbortController();
  const stop = (): void => (controller.signal.aborted ? process.exit(130) : controller.abort());
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, stop);
  return {
    signal: controller.signal,
    close: () => ["SIGINT", "SIGTERM", "SIGHUP"].forEach((signal) => process.off(signal, stop)),
  };
}
