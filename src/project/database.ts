/** The databases of a running Monolith: `anvil-db` there, over a console of the machine or over SSH. */
import { randomBytes } from "node:crypto";
import { Fault, parseFault } from "../fault/fault.ts";
import { carry } from "../inject/exec.ts";
import { execOverSsh, openExecPort, quoted, type Transport } from "../inject/transport.ts";
import { EXEC_PORT } from "../vm/command-line.ts";
import { runSession } from "../vm/session.ts";
import { findMachine, type MachineState } from "../vm/state.ts";
import { lockLine, refuseBoth, type Address } from "./connect.ts";
import { withShell, type MachineShell } from "./machine-shell.ts";
import type { Project } from "./project.ts";
import { runOverSsh, sessionOverSsh } from "./ssh.ts";
import type { Streams } from "./streams.ts";

/** Branches of a large cluster replay their log when they start. */
const LIMIT = { timeoutMs: 300_000 };
/** Until the first answer of `anvil-exec`: one whose host has gone is ended first. */
const PORT_PATIENCE_MS = 30_000;
/** Somebody may have to type a password. */
const SSH_PATIENCE_MS = 300_000;
/** Status of a shell that does not find a program. */
const NOT_FOUND = 127;

const there = (words: readonly string[]): string => ["anvil-db", ...words].map(quoted).join(" ");

/** What the shell would say of a program that is not there is not shown. */
const found = `command -v anvil-db >/dev/null || exit ${NOT_FOUND}`;

function machineOf(project: Project, { machine }: Address): Promise<MachineState> {
  return findMachine(project.store.paths.top, machine);
}

/**
 * Has `anvil-db` do something that ends by itself. Returns what it printed; complaints of a success go to `onComplaint`.
 * Throws its refusal, E_DB_ABSENT, E_NO_MACHINE, E_NO_SHELL, E_SSH.
 */
export async function databaseAction(
  project: Project,
  address: Address,
  words: readonly string[],
  onComplaint: (text: string) => void,
): Promise<string> {
  refuseBoth(address);
  const command = there(words);
  if (address.to === undefined) {
    const { status, output } = await withShell(project, await machineOf(project, address), async (shell) => {
      await requireDatabase(shell);
      return shell.run(command, LIMIT);
    });
    if (status === 0) return output;
    throw refusal(output, status);
  }
  const { status, output, complaints } = await runOverSsh(address.to, `. /etc/profile; ${command}`, "anvil-db list");
  if (status === NOT_FOUND) throw absent();
  if (status !== 0) throw refusal(complaints + output, status);
  onComplaint(complaints);
  return output;
}

/**
 * psql on these streams: a session on a terminal, else as they are. Returns its status. Throws E_DB_ABSENT, E_NO_MACHINE,
 * E_NO_SHELL, E_EXEC_ABSENT, E_SSH.
 */
export async function psql(
  project: Project,
  address: Address,
  words: readonly string[],
  streams: Streams,
): Promise<number> {
  refuseBoth(address);
  const command = there(["psql", ...words]);
  const terminal = streams.input.isTTY === true && streams.output.isTTY === true;
  if (address.to === undefined) {
    const machine = await machineOf(project, address);
    return terminal ? session(project, machine, command, streams) : piped(project, machine, command, streams);
  }
  if (terminal) return unlessAbsent(await sessionOverSsh(address.to, `. /etc/profile; ${found}; ${command}`, streams));
  const token = newToken();
  const transport = execOverSsh(address.to, token, `${found}; exec ${command}`);
  return streamed({ transport, token, patience: SSH_PATIENCE_MS, to: address.to }, streams);
}

/** Standard streams as they are: nothing is a terminal's. */
async function piped(project: Project, machine: MachineState, command: string, streams: Streams): Promise<number> {
  const { name, timeScale } = machine;
  const line = await lockLine(project.store, `exec-${name}`);
  try {
    const token = newToken();
    const transport = await openExecPort(machine);
    const text = `. /etc/profile; exec ${command}`;
    try {
      await withShell(project, machine, async (shell) => {
        await requireDatabase(shell);
        await requireExec(shell);
        await shell.succeed(`setsid anvil-exec ${EXEC_PORT} ${token} ${quoted(text)} >/dev/null 2>&1 </dev/null &`);
      });
    } catch (error) {
      transport.close();
      throw error;
    }
    const to = `machine "${name}"`;
    return await streamed({ transport, token, patience: PORT_PATIENCE_MS * timeScale, to }, streams);
  } finally {
    line.release();
  }
}

interface ExecLine {
  readonly transport: Transport;
  readonly token: string;
  readonly patience: number;
  readonly to: string;
}

async function streamed(line: ExecLine, { input, output, errors }: Streams): Promise<number> {
  return unlessAbsent(await carry({ ...line, input, output, errors }));
}

function unlessAbsent(status: number): number {
  if (status === NOT_FOUND) throw absent();
  return status;
}

const newToken = (): string => randomBytes(12).toString("hex");

async function session(
  project: Project,
  machine: MachineState,
  command: string,
  { input, output }: Streams,
): Promise<number> {
  const { name, session: socket } = machine;
  if (socket === undefined)
    throw new Fault("E_NO_MACHINE", `machine "${name}" was started without a console for sessions`, {
      hint: "`anvil boot` in another terminal starts one that has it",
    });
  const line = await lockLine(project.store, `session-${name}`);
  try {
    const run = (text: string): Promise<unknown> =>
      withShell(project, machine, async (shell) => {
        await requireDatabase(shell);
        return shell.succeed(text);
      });
    return await runSession({ shell: run, socket, command, input, output });
  } finally {
    line.release();
  }
}

async function requireDatabase(shell: MachineShell): Promise<void> {
  if (!(await shell.has("anvil-db"))) throw absent();
}

async function requireExec(shell: MachineShell): Promise<void> {
  if (await shell.has("anvil-exec")) return;
  throw new Fault("E_EXEC_ABSENT", "the Monolith has no anvil-exec", {
    hint: "it was forged by an older `anvil`: forge and boot a new one",
  });
}

function absent(): Fault {
  return new Fault("E_DB_ABSENT", "the Monolith has no database", { hint: "`anvil inject db` sends it there" });
}

/** What `anvil-db` printed when it refused: a fault, as this program renders it. */
function refusal(output: string, status: number): Fault {
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  const fault = parseFault(output);
  return fault ?? new Fault("E_COMMAND", `anvil-db ended with status ${status}`, { details: lines.slice(-20) });
}

export interface Cluster {
  readonly cluster: string;
  readonly state: string;
  readonly port: number;
  readonly bytes: number;
  readonly origin: string | null;
  readonly snapshots: readonly { readonly name: string; readonly bytes: number }[];
}

/** What `anvil-db list` prints: a line per cluster, each followed by those of its snapshots. */
export function clustersIn(output: string): Cluster[] {
  const clusters: (Cluster & { readonly snapshots: { name: string; bytes: number }[] })[] = [];
  for (const line of output.split("\n")) {
    const [kind, name = "", ...words] = line.split(" ");
    if (kind === "cluster") {
      const [state = "", port, bytes, origin = "-"] = words;
      const from = origin === "-" ? null : origin;
      clusters.push({ cluster: name, state, port: Number(port), bytes: Number(bytes), origin: from, snapshots: [] });
    }
    if (kind === "snapshot") clusters.at(-1)?.snapshots.push({ name, bytes: Number(words[0]) });
  }
  return clusters;
}
