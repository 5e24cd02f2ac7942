/** The command line: picks a command, renders faults, sets the exit code. */
import { constants } from "node:os";
import { errno, Fault, renderFault } from "../fault/fault.ts";
import { printableJson } from "../fault/printable.ts";
import type { Project } from "../project/project.ts";
import type { Command, World } from "./command.ts";
import { Terminal } from "./terminal.ts";

/** Loaded when called: `anvil forge` with nothing to do should not read the VM driver. */
const commands: Readonly<Record<string, () => Promise<{ readonly command: Command }>>> = {
  forge: () => import("./forge.ts"),
  init: () => import("./init.ts"),
  fetch: () => import("./fetch.ts"),
  preflight: () => import("./preflight.ts"),
  graph: () => import("./graph.ts"),
  shell: () => import("./shell.ts"),
  boot: () => import("./boot.ts"),
  inject: () => import("./inject.ts"),
  ingot: () => import("./ingot.ts"),
  db: () => import("./db.ts"),
  guest: () => import("./guest.ts"),
  key: () => import("./key.ts"),
  log: () => import("./log.ts"),
  status: () => import("./status.ts"),
  why: () => import("./why.ts"),
  report: () => import("./report.ts"),
  verify: () => import("./verify.ts"),
  gc: () => import("./gc.ts"),
  channel: () => import("./channel.ts"),
  lock: () => import("./lock.ts"),
  audit: () => import("./audit.ts"),
  purge: () => import("./purge.ts"),
  doctor: () => import("./doctor.ts"),
};

/** Returns the exit status. */
export async function run(args: readonly string[], world: World): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") return help(rest[0], world);
  const load = commands[name];
  if (load === undefined)
    throw new Fault("E_USAGE", `there is no command "${name}"`, {
      hint: `commands: ${Object.keys(commands).join(", ")}`,
    });
  const { command } = await load();
  // what stands after "--" is for somebody else
  const own = rest.includes("--") ? rest.slice(0, rest.indexOf("--")) : rest;
  if (own.includes("--help") || own.includes("-h")) return say(command.help, world);
  return command.run(rest, world);
}

async function help(name: string | undefined, world: World): Promise<number> {
  const load = name === undefined ? undefined : commands[name];
  if (load !== undefined) return say((await load()).command.help, world);
  const rows = await Promise.all(
    Object.entries(commands).map(
      async ([each, loadEach]) => `  ${each.padEnd(9)} ${(await loadEach()).command.summary}`,
    ),
  );
  return say(
    `anvil: forges, boots and feeds AnvilOS\n\nusage: anvil <command> [options]\n\n${rows.join("\n")}\n\nanvil <command> --help shows options and examples.`,
    world,
  );
}

function say(text: string, { terminal }: World): number {
  terminal.print(`${text.trim()}\n`);
  return 0;
}

/**
 * Who reads may stop at any time (`anvil graph | head`): then this program ends as one that SIGPIPE ended, with the status
 * that a shell shows for that. A command that has a use for the event listens too and is left to it. Complaints that nobody
 * reads change nothing.
 */
function endWithReaders(terminal: Terminal): void {
  process.stdout.on("error", (error: Error) => {
    output.lost ??= error;
    if (process.stdout.listenerCount("error") === 1) endUnheard(error, terminal);
  });
  process.stderr.on("error", () => undefined);
}

/** Why the output came to an end. */
const output: { lost: Error | undefined } = { lost: undefined };

const SIGPIPE_STATUS = 128 + constants.signals.SIGPIPE;

let ending = false;

function endUnheard(error: Error, terminal: Terminal): void {
  if (ending) return;
  ending = true;
  if (errno(error) === "EPIPE") return endWork();
  const fault = new Fault("E_STDOUT", `the output cannot be written: ${error.message}`, {
    hint: "what was printed so far is not whole; the work itself may be done",
    cause: error,
  });
  process.exit(report(fault, terminal, asksForJson()));
}

/** A build that runs stops in order, as after a signal. */
function endWork(): void {
  if (process.listenerCount("SIGTERM") === 0) process.exit(SIGPIPE_STATUS);
  process.on("exit", () => (process.exitCode = SIGPIPE_STATUS));
  process.emit("SIGTERM", "SIGTERM");
}

/** Tells what went wrong; returns the exit status. What is no fault is a mistake in the program: its stack trace is asked for in reports. */
export function report(error: unknown, terminal: Terminal, json: boolean): number {
  if (!(error instanceof Fault)) {
    terminal.complain(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return 1;
  }
  terminal.complain(json ? `${printableJson({ error })}\n` : `${renderFault(error)}\n`);
  return error.code === "E_USAGE" ? 2 : 1;
}

const asksForJson = (): boolean => process.argv.includes("--json");

/** Runs this process's command line to its end. */
export async function start(project: Project): Promise<void> {
  const terminal = new Terminal({ input: process.stdin, output: process.stdout, errors: process.stderr });
  endWithReaders(terminal);
  process.on("uncaughtException", (error) => process.exit(report(error, terminal, asksForJson())));
  try {
    process.exitCode = await run(process.argv.slice(2), { project, terminal });
  } catch (error) {
    // a command that listened itself has failed for it
    if (output.lost !== undefined) endUnheard(output.lost, terminal);
    else process.exitCode = report(error, terminal, asksForJson());
  }
}
