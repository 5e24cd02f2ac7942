/** Programs of the `vm` seed (QEMU, its firmware, xorriso) in a sandbox, for a process that stays on the host's network. */
import { openSandbox, spawnSandbox } from "../sandbox/sandbox.ts";
import { handOver } from "../sandbox/user.ts";
import type { Launcher } from "./launcher.ts";

/** Throws what `openSandbox` throws. @param seedTree the output of the seed in the store */
export async function seedLauncher(seedTree: string): Promise<Launcher> {
  const user = await openSandbox(seedTree);
  return {
    start(program, args, binds, io) {
      const devices = binds.filter(({ path }) => path.startsWith("/dev/")).map(({ path }) => path);
      const spec = {
        bubblewrap: seedTree,
        user,
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
      return spawnSandbox(spec, [program, ...args], io, { detached: true });
    },
    handOver: (files) => handOver(user, files),
  };
}
