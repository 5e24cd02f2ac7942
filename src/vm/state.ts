/** State files: how a command finds the machine that another one started. */
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { errno, Fault } from "../fault/fault.ts";
import { makeFolder } from "../host/make-folder.ts";
import { Owners } from "../host/owner.ts";
import { createFile } from "../host/replace-file.ts";
import { isComparable, isRunning, type ProcessIdentity } from "../host/process.ts";

/** A running machine, as `<stateDir>/machines/<name>.json` has it. */
export interface MachineState {
  readonly name: string;
  /** QEMU, or the sandbox around it. */
  readonly process: ProcessIdentity;
  /** Name of the process that started it, which it does not outlive, among those that listen below the state folder. */
  readonly owner?: string;
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
export async function writeState(stateDir: string, machine: Omit<MachineState, "owner">): Promise<void> {
  const state: MachineState = { ...machine, owner: owners(stateDir).self() };
  const file = stateFile(stateDir, state.name);
  makeFolder(path.dirname(file), 0o700);
  await refuseIfRunning(stateDir, state.name);
  // another process may have put one there meanwhile
  if (!createFile(file, JSON.stringify(state, null, 2) + "\n", { mode: 0o600 })) throw runningFault(state.name);
}

/** Throws E_VM_RUNNING when a machine of this name runs; removes the file of one that has ended. */
export async function refuseIfRunning(stateDir: string, name: string): Promise<void> {
  const state = await readState(stateDir, stateFile(stateDir, name));
  if (state !== undefined) throw runningFault(name, state);
}

/** Removes the state file of a machine that has ended. */
export function removeState(stateDir: string, name: string): void {
  rmSync(stateFile(stateDir, name), { force: true });
}

/** The machines that run, by name, also in other containers. Files of machines that have ended are removed. */
export async function listMachines(stateDir: string): Promise<MachineState[]> {
  const folder = path.join(stateDir, "machines");
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  const states: MachineState[] = [];
  for (const name of names.filter((each) => each.endsWith(".json")).sort()) {
    const state = await readState(stateDir, path.join(folder, name));
    if (state !== undefined) states.push(state);
  }
  return states;
}

const owners = (stateDir: string): Owners => new Owners(path.join(stateDir, "alive"));

/**
 * The running machine of this name, or the only one when no name is given. Throws E_NO_MACHINE when there is none, or
 * more than one to choose from.
 */
export async function findMachine(stateDir: string, name?: string): Promise<MachineState> {
  const all = await listMachines(stateDir);
  const running = all.filter(isReachable);
  const [found, ...others] = name === undefined ? running : running.filter((state) => state.name === name);
  if (found !== undefined && others.length === 0) return found;
  const what = name === undefined ? "no machine runs" : `no machine named "${name}" runs`;
  throw new Fault("E_NO_MACHINE", found === undefined ? what : "more than one machine runs", {
    details: all.map(describe),
    hint: all.length === 0 ? "`anvil boot` in another terminal starts one" : "name one of them: --machine <name>",
  });
}

/** The sockets of a machine in another container are out of reach, unless it shares /tmp, too. */
function isReachable({ process, qmp }: MachineState): boolean {
  return isComparable(process) || existsSync(qmp);
}

function describe(state: MachineState): string {
  const where = isReachable(state) ? "" : ", in another container";
  return `${state.name}  pid ${state.process.pid}, started ${state.started}${where}`;
}

async function readState(stateDir: string, file: string): Promise<MachineState | undefined> {
  let state: MachineState;
  try {
    state = JSON.parse(readFileSync(file, "utf8")) as MachineState;
    if (isRunning(state.process)) return state;
    if (!isComparable(state.process) && state.owner !== undefined && (await owners(stateDir).isAlive(state.owner)))
      return state;
  } catch (error) {
    if (errno(error) === "ENOENT") return undefined;
  }
  rmSync(file, { force: true });
  return undefined;
}

function runningFault(name: string, state?: MachineState): Fault {
  return new Fault("E_VM_RUNNING", `a machine named "${name}" runs already`, {
    details: state === undefined ? [] : [describe(state)],
    hint: "end it, or give this one another name: --name <name>",
  });
}
