import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { connectQmp, type Qmp } from "../../src/vm/qmp.ts";
import { makeSocketFolder } from "../../src/vm/socket-folder.ts";
import { listMachines, type MachineState } from "../../src/vm/state.ts";
import { scratch } from "./guest.ts";

interface Owner {
  readonly child: ChildProcess;
  readonly state: MachineState;
  readonly stateDir: string;
  /** Private folder of the machine. */
  readonly folder: string;
  readonly qmp: Qmp;
}

/** Another process that has a machine; we hold a line to the QEMU of it. */
async function owner(t: TestContext, end: string): Promise<Owner> {
  const stateDir = scratch(t);
  const program = fileURLToPath(new URL("machine-owner.mjs", import.meta.url));
  const child = spawn(process.execPath, [program, stateDir, end], { stdio: ["pipe", "pipe", "ignore"] });
  t.after(() => child.kill("SIGKILL"));
  const [line] = await Promise.race([
    new Promise<string[]>((resolve) =>
      createInterface({ input: child.stdout }).once("line", (text) => resolve([text])),
    ),
    new Promise<never>((_, reject) =>
      child.once("exit", (status) => reject(new Error(`the owner ended with ${status}`))),
    ),
  ]);
  const state = JSON.parse(line ?? "") as MachineState;
  return { child, state, stateDir, folder: path.dirname(state.qmp), qmp: await connectQmp(state.qmp) };
}

/** Resolves when QEMU has gone: it closes its sockets last. */
async function gone(qmp: Qmp): Promise<void> {
  for await (const _ of qmp.events());
}

for (const end of ["exit", "throw"]) {
  test(`a process that ends by ${end} takes its machine, folder and state file along`, async (t) => {
    const { child, stateDir, folder, qmp } = await owner(t, end);
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.stdin?.end();
    await gone(qmp);
    await exited;
    assert.equal(existsSync(folder), false);
    assert.equal(existsSync(path.join(stateDir, "machines/owned.json")), false);
  });
}

for (const signal of ["SIGKILL", "SIGTERM"] as const) {
  test(`a process that is ended by ${signal} takes its machine along; the next start clears up`, async (t) => {
    const { child, stateDir, folder, qmp } = await owner(t, "never");
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await gone(qmp);
    await exited;
    assert.deepEqual(await listMachines(stateDir), []);
    assert.equal(existsSync(folder), true);
    rmSync(await makeSocketFolder(), { recursive: true });
    assert.equal(existsSync(folder), false);
  });
}
