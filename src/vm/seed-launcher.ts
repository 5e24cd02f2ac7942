/** Programs of the `vm` seed (QEMU, its firmware, xorriso) in a sandbox, for a process that stays on the host's network. */
import { sandboxCommand } from "../sandbox/sandbox.ts";
import type { Launcher } from "./launcher.ts";

/** @param seedTree the output of the seed in the store */
export function seedLauncher(seedTree: string): Launcher {
  return (program, args, binds) => {
    const devices = binds.filter(({ path }) => path.startsWith("/dev/")).map(({ path }) => path);
    const spec = {
      bubblewrap: seedTree,
      root: seedTree,
      binds: binds
        .filter(({ path }) => !path.startsWith("/dev/"))
        .map(({ path, writable }) => ({ from: path, at: path, writable })),
      env: { PATH: "/usr/bin:/usr/sbin", HOME: "/", LC_ALL: "C" },
      cwd: "/",
      // QEMU's own NAT needs it; a guest without a network card has none all the same
      network: true,
      devices,
    };
    return sandboxCommand(spec, [program, ...args]);
  };
}
