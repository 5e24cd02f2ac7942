/** The command line: picks a command, renders faults, sets the exit code. */
import { Fault, renderFault } from "../fault/fault.ts";
import type { Command } from "./command.ts";

/** Loaded when called: `anvil forge` with nothing to do should not read the VM driver. */
const commands: Readonly<Record<string, () => Promise<{ readonly command: Command }>>> = {
  forge: () => import("./forge.ts"),
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

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") return help(rest[0]);
  const load = commands[name];
  if (load === undefined)
    throw new Fault("E_USAGE", `there is no command "${name}"`, {
      hint: `commands: ${Object.keys(commands).join(", ")}`,
    });
  const { command } = await load();
  // what stands after "--" is for somebody else
  const own = rest.includes("--") ? rest.slice(0, rest.indexOf("--")) : rest;
  if (own.includes("--help") || own.includes("-h")) return print(command.help);
  return command.run(rest);
}

async function help(name: string | undefined): Promise<number> {
  const load = name === undefined ? undefined : commands[name];
  if (load !== undefined) return print((await load()).command.help);
  const rows = await Promise.all(
    Object.entries(commands).map(
      async ([each, loadEach]) => `  ${each.padEnd(9)} ${(await loadEach()).command.summary}`,
    ),
  );
  return print(
    `anvil: forges, boots and feeds AnvilOS\n\nusage: anvil <command> [options]\n\n${rows.join("\n")}\n\nanvil <command> --help shows options and examples.`,
  );
}

function print(text: string): number {
  process.stdout.write(`${text.trim()}\n`);
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Fault)) throw error;
  process.stderr.write(
    process.argv.includes("--json") ? `${JSON.stringify({ error: error })}\n` : `${renderFault(error)}\n`,
  );
  process.exitCode = error.code === "E_USAGE" ? 2 : 1;
}
