/** State files: how a command finds the machine that another one started. */
import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";
import { isRunning, type ProcessIdentity } from "./process.ts";

/** A running machine, as `<stateDir>/machines/<name>.json` has it. */
export interface MachineState {
  readonly name: string;
  /** QEMU, or the sandbox around it. */
  readonly process: ProcessIdentity;
  /** Sockets of QEMU; each serves one client at a time. */
  readonly qmp: string;
  readonly console: string | undefined;
  readonly session?: string | undefined;
  readonly ingot: string | undefined;
  readonly exec?: string | undefined;
  readonly serialLog: string | undefined;
  /** Factor on time limits of whoever talks to the guest. */
  readonly timeScale: number;
  readonly forwards: readonly { readonly guest: number; readonly host: number; readonly address: string }[];
  /** ISO 8601. */
  readonly started: string;
}

function stateFile(stateDir: string, name: string): string {
  return path.join(stateDir, "machines", `${name}.json`);
}

/** Writes the state file of a machine. Throws E_VM_RUNNING when a machine of this name runs already. */
export function writeState(stateDir: string, state: MachineState): void {
  const file = stateFile(stateDir, state.name);
  mkdirSync(path.dirname(file), { recursive: true });
  const fresh = `${file}.${process.pid}`;
  writeFileSync(fresh, JSON.stringify(state, null, 2) + "\n", { mode: 0o600 });
  try {
    refuseIfRunning(stateDir, state.name);
    linkSync(fresh, file); // unlike rename, never replaces what another process has put there meanwhile
  } catch (error) {
    throw errno(error) === "EEXIST" ? runningFault(state.name) : error;
  } finally {
    rmSync(fresh, { force: true });
  }
}

/** Throws E_VM_RUNNING when a machine of this name runs; removes the file of one that has ended. */
export function refuseIfRunning(stateDir: string, name: string): void {
  const state = readState(stateFile(stateDir, name));
  if (state !== undefined) throw runningFault(name, state);
}

/** Removes the state file of a machine that has ended. */
export function removeState(stateDir: string, name: string): void {
  rmSync(stateFile(stateDir, name), { force: true });
}

/** The machines that run, by name. Files of machines that have ended are removed. */
export function listMachines(stateDir: string): MachineState[] {
  const folder = path.join(stateDir, "machines");
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => readState(path.join(folder, name)))
    .filter((state) => state !== undefined);
}

/**
 * The running machine of this name, or the only one when no name is given. Throws E_NO_MACHINE when there is none, or
 * more than one to choose from.
 */
export function findMachine(stateDir: string, name?: string): MachineState {
  const running = listMachines(stateDir);
  const [found, ...others] = name === undefined ? running : running.filter((state) => state.name === name);
  if (found !== undefined && others.length === 0) return found;
  const what = name === undefined ? "no machine runs" : `no machine named "${name}" runs`;
  throw new Fault("E_NO_MACHINE", found === undefined ? what : "more than one machine runs; name one", {
    details: running.map((state) => `${state.name}  pid ${state.process.pid}, started ${state.started}`),
    ...(running.length === 0 ? { hint: "`anvil boot` in another terminal starts one" } : {}),
  });
}

function readState(file: string): MachineState | undefined {
  let state: MachineState;
  try {
    state = JSON.parse(readFileSync(file, "utf8")) as MachineState;
    if (isRunning(state.process)) return state;
  } catch (error) {
    if (errno(error) === "ENOENT") return undefined;
  }
  rmSync(file, { force: true });
  return undefined;
}

function runningFault(name: string, state?: MachineState): Fault {
  return new Fault("E_VM_RUNNING", `a machine named "${name}" runs already`, {
    details: state === undefined ? [] : [`pid ${state.process.pid}, started ${state.started}`],
    hint: "end it, or give this one another name",
  });
}
