/** The shell for programs that a running machine has on its first console. */
import { isIPv4 } from "node:net";
import { Fault } from "../fault/fault.ts";
import { Console } from "../vm/console.ts";
import type { CommandResult } from "../vm/frame.ts";
import { LOOPBACK } from "../vm/forward.ts";
import type { MachineState } from "../vm/state.ts";
import { lockLine } from "./connect.ts";
import type { Project } from "./project.ts";

/** A shell answers at once, or there is none. */
const SHELL_LIMIT = { timeoutMs: 6_000 };

/** What `system/root/etc/anvil/console` says at every Enter where consoles give no shell. */
const CLOSED = /Logins on this console are off/;

export interface MachineShell {
  /** Runs text of shell with the environment of a login. */
  run(text: string, limit?: { readonly timeoutMs: number }): Promise<CommandResult>;
  /** As `run`, and returns the output; throws E_COMMAND when the status is not 0. */
  succeed(text: string): Promise<string>;
  has(program: string): Promise<boolean>;
}

/**
 * The console of a machine serves one process at a time: others wait their turn. Throws E_NO_MACHINE when it has none,
 * E_NO_SHELL when nobody answers there, at once where the system says that nobody will.
 */
export async function withShell<T>(
  project: Project,
  machine: MachineState,
  act: (shell: MachineShell) => Promise<T>,
): Promise<T> {
  const { name, console: socket, timeScale, serialLog } = machine;
  if (socket === undefined)
    throw new Fault("E_NO_MACHINE", `machine "${name}" was started without a console for programs`, {
      hint: "`anvil boot` in another terminal starts one that has it",
    });
  const label = `the console of ${name}`;
  const console = new Console({ label, timeScale, evidence: () => [], log: serialLog, socket });
  const line = await lockLine(project.store, `console-${name}`);
  try {
    await answering(console, machine);
    return await act({
      run: (text, limit) => console.run(`. /etc/profile; ${text}`, limit),
      succeed: (text) => console.succeed(text),
      has: async (program) => (await console.run(`. /etc/profile; command -v ${program}`)).status === 0,
    });
  } finally {
    console.close();
    line.release();
  }
}

async function answering(console: Console, machine: MachineState): Promise<void> {
  const closed = console.waitFor(CLOSED, SHELL_LIMIT).then(() => {
    throw new Fault("E_NO_SHELL", "the Monolith was forged without root login: its consoles give no shell", {
      hint: `it is reached with --to ${sshOf(machine)}`,
    });
  });
  try {
    await Promise.race([console.ready(SHELL_LIMIT), closed]);
  } catch (error) {
    throw error instanceof Fault && error.code === "E_VM_TIMEOUT"
      ? new Fault("E_NO_SHELL", "no shell answers in the Monolith", {
          hint: `it may still be starting; one that was forged without root login is reached with --to ${sshOf(machine)}`,
        })
      : error;
  }
}

/** Where SSH of the machine is, if a port leads there. */
function sshOf({ forwards }: MachineState): string {
  const forward = forwards.find(({ guest }) => guest === 22);
  return forward === undefined
    ? "ssh://…, for which `anvil boot --forward 2222:22` opens a port"
    : `ssh://root@${isIPv4(forward.address) ? forward.address : LOOPBACK}:${forward.host}`;
}
