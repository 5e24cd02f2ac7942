import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { isIPv4 } from "node:net";
import { constants } from "node:os";
import { text } from "node:stream/consumers";
import { Fault } from "../fault/fault.ts";
import { carry, type ExecOptions } from "../inject/exec.ts";
import { execOverSsh, openExecPort, quoted, sshCommand, sshFault } from "../inject/transport.ts";
import { EXEC_PORT } from "../vm/command-line.ts";
import { Console } from "../vm/console.ts";
import { LOOPBACK } from "../vm/forward.ts";
import { runSession } from "../vm/session.ts";
import { findMachine, type MachineState } from "../vm/state.ts";
import { size } from "../ui/units.ts";
import type { Project } from "../project/project.ts";
import { parse, usage, type Command } from "./command.ts";
import { connectHelp, connectOptions, lockLine } from "./connect.ts";
import { complain, print, printForeign, printJson } from "./print.ts";

const help = `
usage: anvil db psql [<cluster>] [options] [-- <arguments of psql>…]
       anvil db list
       anvil db snapshot <cluster>@<name>
       anvil db branch <cluster>[@<snapshot>] <new>
       anvil db rollback <cluster>@<snapshot> [--discard-later]
       anvil db destroy <cluster> | <cluster>@<snapshot>
       anvil db set <cluster> listen <address>[,<address>…] | off
       anvil db restart|log <cluster>

The databases of a running Monolith: \`anvil inject db\` sends them there. It calls \`anvil-db\` inside; the first cluster is
called main.

  psql        a session as the superuser postgres; without a terminal standard input, output and error are psql's
  list        clusters: name, state, port, size, where it comes from; and snapshots
  snapshot    keeps the state of this moment
  branch      a second, writable cluster that shares with the first what neither has changed
  rollback    back to a snapshot, which ends all sessions
  destroy     removes a branch or a snapshot
  set listen  opens TCP, for TLS and passwords only; off closes it

${connectHelp}
  --discard-later      with rollback: give up the snapshots that were taken after this one
  --json               list: [{cluster, state, port, bytes, origin, snapshots: [{name, bytes}]}]

examples:
  anvil db psql
  anvil db psql main -- -c "select version()"
  anvil db branch main try-1 && anvil db psql try-1
  anvil db set main listen "*"

exit status: 0 done, 1 refused or failed, 2 wrong usage; psql: its own
`;

const options = {
  ...connectOptions,
  "discard-later": { type: "boolean", default: false },
  json: { type: "boolean", default: false },
} as const;

/** How many words follow each action: least and most. */
const ACTIONS: Readonly<Record<string, readonly [number, number]>> = {
  psql: [0, 1],
  list: [0, 0],
  snapshot: [1, 1],
  branch: [2, 2],
  rollback: [1, 1],
  destroy: [1, 1],
  set: [3, 3],
  restart: [1, 1],
  log: [1, 1],
};

/** Branches of a large cluster replay their log when they start. */
const LIMIT = { timeoutMs: 300_000 };
/** A shell answers at once, or there is none. */
const SHELL_LIMIT = { timeoutMs: 6_000 };

interface Values {
  readonly to?: string | undefined;
  readonly machine?: string | undefined;
  readonly json: boolean;
}

export const command: Command = {
  summary: "databases of a running Monolith: psql, branches, snapshots",
  help,
  async run(args, project) {
    const end = args.indexOf("--");
    const { values, positionals } = parse(end === -1 ? args : args.slice(0, end), help, options);
    const more = end === -1 ? [] : args.slice(end + 1);
    const [action = "", ...words] = positionals;
    const [least, most] = ACTIONS[action] ?? [1, 0];
    if (least > most) throw usage(`name what to do: ${Object.keys(ACTIONS).join(", ")}`, help);
    if (words.length < least || words.length > most) throw usage(`"${action}" wants other names`, help);
    if (more.length > 0 && action !== "psql") throw usage("only psql takes arguments after --", help);
    if (values["discard-later"] && action !== "rollback") throw usage("--discard-later goes with rollback", help);
    if (values.to !== undefined && values.machine !== undefined)
      throw new Fault("E_USAGE", "--to and --machine exclude each other");
    if (action === "psql" && words.length === 0) words.push("main");
    const line = [action, ...words, ...more, ...(values["discard-later"] ? ["--discard-later"] : [])];
    const shell = ["anvil-db", ...line].map(quoted).join(" ");
    return action === "psql" ? psql(shell, values, project) : act(action, shell, values, project);
  },
};

async function psql(command: string, values: Values, project: Project): Promise<number> {
  const terminal = process.stdin.isTTY && process.stdout.isTTY;
  if (values.to === undefined)
    return (terminal ? session : streams)(await machineOf(values, project), command, project);
  if (terminal) return sessionOverSsh(values.to, command);
  const token = newToken();
  const transport = execOverSsh(
    values.to,
    token,
    `command -v anvil-db >/dev/null || exit ${NOT_FOUND}; exec ${command}`,
  );
  return streamed({ transport, token, patience: SSH_PATIENCE_MS, to: values.to });
}

/** Standard streams as they are: nothing is a terminal's. */
async function streams(machine: MachineState, command: string, project: Project): Promise<number> {
  const { name, timeScale } = machine;
  const line = await lockLine(project.store, `exec-${name}`);
  try {
    const token = newToken();
    const transport = await openExecPort(machine);
    try {
      const text = `. /etc/profile; exec ${command}`;
      await shell(
        machine,
        project,
        `setsid anvil-exec ${EXEC_PORT} ${token} ${quoted(text)} >/dev/null 2>&1 </dev/null &`,
        "anvil-exec",
      );
    } catch (error) {
      transport.close();
      throw error;
    }
    return await streamed({ transport, token, patience: PORT_PATIENCE_MS * timeScale, to: `machine "${name}"` });
  } finally {
    line.release();
  }
}

async function streamed(line: Pick<ExecOptions, "transport" | "token" | "patience" | "to">): Promise<number> {
  const status = await carry({ ...line, input: process.stdin, output: process.stdout, errors: process.stderr });
  if (status === NOT_FOUND) throw absent();
  return status;
}

const newToken = (): string => randomBytes(12).toString("hex");

async function session(machine: MachineState, command: string, project: Project): Promise<number> {
  if (machine.session === undefined)
    throw new Fault("E_NO_MACHINE", `machine "${machine.name}" was started without a console for sessions`, {
      hint: "`anvil boot` in another terminal starts one that has it",
    });
  const line = await lockLine(project.store, `session-${machine.name}`);
  try {
    const { stdin: input, stdout: output } = process;
    const run = (text: string): Promise<unknown> => shell(machine, project, text);
    return await runSession({ shell: run, socket: machine.session, command, input, output });
  } finally {
    line.release();
  }
}

async function act(action: string, command: string, values: Values, project: Project): Promise<number> {
  const { status, output } =
    values.to === undefined
      ? await onConsole(await machineOf(values, project), command, project)
      : await runOverSsh(values.to, command);
  if (status !== 0) throw refusal(output, status);
  if (action !== "list") printForeign(output);
  else if (values.json) printJson(listed(output), 1);
  else print(rows(output));
  return 0;
}

const machineOf = ({ machine }: Values, project: Project): Promise<MachineState> =>
  findMachine(project.store.paths.top, machine);

/** The console of a machine, which serves one process at a time: others wait their turn. */
async function withConsole<T>(
  state: MachineState,
  project: Project,
  act: (console: Console) => Promise<T>,
): Promise<T> {
  if (state.console === undefined)
    throw new Fault("E_NO_MACHINE", `machine "${state.name}" was started without a console for programs`, {
      hint: "`anvil boot` in another terminal starts one that has it",
    });
  const { console: socket, timeScale, serialLog } = state;
  const label = `the console of ${state.name}`;
  const console = new Console({ label, timeScale, evidence: () => [], log: serialLog, socket });
  const line = await lockLine(project.store, `console-${state.name}`);
  try {
    return await act(console);
  } finally {
    console.close();
    line.release();
  }
}

/** Runs text of shell that ends soon. @param program that the system may be too old to have */
function shell(machine: MachineState, project: Project, text: string, program?: string): Promise<string> {
  return withConsole(machine, project, async (console) => {
    await available(console, machine);
    if (program !== undefined && (await console.run(`command -v ${program}`)).status !== 0)
      throw new Fault("E_EXEC_ABSENT", `the Monolith has no ${program}`, {
        hint: "it was forged by an older `anvil`: forge and boot a new one",
      });
    return console.succeed(text);
  });
}

/** Throws E_NO_SHELL when nobody answers on the console, or there is no `anvil-db`. */
async function available(console: Console, machine: MachineState): Promise<void> {
  await console.ready(SHELL_LIMIT).catch((error: unknown) => {
    throw error instanceof Fault && error.code === "E_VM_TIMEOUT"
      ? new Fault("E_NO_SHELL", "no shell answers in the Monolith", {
          hint: `it may still be starting; one that was forged without root login is reached with --to ${sshOf(machine)}`,
        })
      : error;
  });
  const { status } = await console.run(". /etc/profile; command -v anvil-db");
  if (status !== 0) throw absent();
}

function absent(): Fault {
  return new Fault("E_DB_ABSENT", "the Monolith has no database", { hint: "`anvil inject db` sends it there" });
}

/** Where SSH of the machine is, if a port leads there. */
function sshOf({ forwards }: MachineState): string {
  const forward = forwards.find(({ guest }) => guest === 22);
  return forward === undefined
    ? "ssh://…, for which `anvil boot --forward 2222:22` opens a port"
    : `ssh://root@${isIPv4(forward.address) ? forward.address : LOOPBACK}:${forward.host}`;
}

function onConsole(
  machine: MachineState,
  command: string,
  project: Project,
): Promise<{ status: number; output: string }> {
  return withConsole(machine, project, async (console) => {
    await available(console, machine);
    return console.run(`. /etc/profile; ${command}`, LIMIT);
  });
}

/** Until the first answer of `anvil-exec`: one whose host has gone is ended first. */
const PORT_PATIENCE_MS = 30_000;
/** Somebody may have to type a password. */
const SSH_PATIENCE_MS = 300_000;
/** Status of ssh itself when it fails, and of a shell that does not find a program. */
const SSH_FAILED = 255;
const NOT_FOUND = 127;

/** The user's own ssh, with this terminal. What the shell would say of a program that is not there is not shown. */
async function sessionOverSsh(to: string, command: string): Promise<number> {
  const found = `command -v anvil-db >/dev/null || exit ${NOT_FOUND}`;
  const args = sshCommand(to, `. /etc/profile; ${found}; ${command}`, true);
  const status = await ended(spawn("ssh", args, { stdio: "inherit" }));
  if (status === NOT_FOUND) throw absent();
  return status;
}

/** As `run`. Questions of ssh go to the terminal all the same. */
async function runOverSsh(to: string, command: string): Promise<{ status: number; output: string }> {
  const args = sshCommand(to, `. /etc/profile; ${command}`, false);
  const child = spawn("ssh", args, { stdio: ["ignore", "pipe", "pipe"] });
  const [status, output, complaints] = await Promise.all([ended(child), text(child.stdout), text(child.stderr)]);
  if (status === SSH_FAILED) throw sshFault(`ssh to ${to} has failed`, complaints, args.slice(1, -1), "anvil-db list");
  if (status === NOT_FOUND) throw absent();
  if (status !== 0) return { status, output: complaints + output };
  complain(complaints);
  return { status, output };
}

function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on("error", (cause) => reject(new Fault("E_SSH", `ssh cannot be started: ${cause.message}`, { cause })));
    child.on("close", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

/** What `anvil-db` printed when it refused: code, sentence, lines of detail, a hint. */
function refusal(output: string, status: number): Fault {
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  const at = lines.findIndex((line) => /^E_[A-Z_]+ {2}/.test(line));
  const [, code, message] = /^(E_[A-Z_]+) {2}(.*)$/.exec(lines[at] ?? "") ?? [];
  if (code === undefined)
    return new Fault("E_COMMAND", `anvil-db ended with status ${status}`, { details: lines.slice(-20) });
  const rest = lines.slice(at + 1).map((line) => line.trim());
  const hint = rest.find((line) => line.startsWith("hint: "))?.slice("hint: ".length);
  return new Fault(code as `E_${string}`, message ?? "", {
    details: rest.filter((line) => !line.startsWith("hint: ")),
    ...(hint === undefined ? {} : { hint }),
  });
}

interface Listed {
  readonly cluster: string;
  readonly state: string;
  readonly port: number;
  readonly bytes: number;
  readonly origin: string | null;
  readonly snapshots: { readonly name: string; readonly bytes: number }[];
}

function listed(output: string): Listed[] {
  const clusters: Listed[] = [];
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

function rows(output: string): string {
  const lines = listed(output).flatMap(({ cluster, state, port, bytes, origin, snapshots }) => [
    `${cluster.padEnd(24)}  ${state.padEnd(10)}  port ${port}  ${size(bytes)}${origin === null ? "" : `  from ${origin}`}`,
    ...snapshots.map(({ name, bytes: own }) => `  ${name.padEnd(22)}  snapshot    ${size(own)}`),
  ]);
  return lines.map((line) => `${line}\n`).join("");
}
