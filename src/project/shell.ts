import { existsSync } from "node:fs";
import { constants } from "node:os";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { seedFor } from "../forge/evaluate.ts";
import { missing } from "../forge/forge.ts";
import { failedFolder, stage, stepSandbox } from "../forge/step.ts";
import { usedBy } from "../forge/used-by.ts";
import { readLimits } from "../sandbox/limits.ts";
import { openSandbox, spawnSandbox } from "../sandbox/sandbox.ts";
import { handOverTree } from "../sandbox/user.ts";
import { removeTree } from "../host/remove-tree.ts";
import { planOf } from "./plan.ts";
import type { Project, SourceValues } from "./project.ts";
import { join, stdioOf, type Streams } from "./streams.ts";

export interface ShellRequest extends SourceValues {
  readonly recipe: string;
  /** What runs there; a shell when it is empty. */
  readonly argv: readonly string[];
  readonly streams: Streams;
  /** Told before it starts: the step, and whether it is the sandbox of a build that failed. */
  readonly onOpen: (step: { readonly name: string; readonly version: string }, failed: boolean) => void;
}

/** Runs something in the sandbox of a recipe. Returns its status. Throws E_NO_TARGET, E_NO_INPUTS, and what opening throws. */
export async function runInSandbox(project: Project, request: ShellRequest): Promise<number> {
  const { recipe: name, argv, streams } = request;
  const { store } = project;
  const { evaluation } = await planOf(project, { names: [name], channel: request.channel, source: request.source });
  const [key] = evaluation.targets;
  const node = key === undefined ? undefined : evaluation.nodes.get(key);
  if (node === undefined || node.derivation.kind !== "step")
    throw new Fault("E_NO_TARGET", `${name} is not built by a script, so it has no sandbox`);
  const step = node.derivation;
  // until this process ends
  await store.uses.announce(usedBy(evaluation));
  const absent = missing({ ...evaluation, targets: node.needs }, store);
  if (absent.length > 0)
    throw new Fault("E_NO_INPUTS", `${name} needs what is not built yet`, {
      details: absent.slice(0, 10).map(({ derivation }) => `${derivation.name} ${derivation.version}`),
      hint: `anvil forge ${name}   builds what it needs first`,
    });
  const failed = failedFolder(store, node.key, step.name);
  const kept = existsSync(failed);
  const work = kept ? failed : store.workFolder(step.name);
  try {
    const bubblewrap = store.outputs.path(seedFor(evaluation, node));
    const user = await openSandbox(bubblewrap);
    const limits = readLimits(project.env);
    if (!kept) stage(step, work, project.root, { user, limits });
    // another forge of root's may have had another id
    else for (const name of ["build", "out", "tmp"]) handOverTree(user, path.join(work, name));
    const sandbox = stepSandbox(step, work, { store, bubblewrap, user, limits });
    const env = { ...sandbox.env, JOBS: "1", TERM: project.env["TERM"] ?? "dumb", PS1: `${step.name}:\\w\\$ ` };
    request.onOpen(step, kept);
    const inner = argv.length > 0 ? argv : ["/usr/bin/bash", "--norc"];
    const child = spawnSandbox({ ...sandbox, env, terminal: true }, inner, { stdio: stdioOf(streams) });
    join(child, streams);
    return await new Promise<number>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
    });
  } finally {
    if (!kept) removeTree(work);
  }
}
