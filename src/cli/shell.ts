import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import path from "node:path";
import { Fault } from "../fault/fault.ts";
import { seedFor } from "../forge/evaluate.ts";
import { missing } from "../forge/forge.ts";
import { failedFolder, stage, stepSandbox } from "../forge/step.ts";
import { readLimits } from "../sandbox/limits.ts";
import { openSandbox, spawnSandbox } from "../sandbox/sandbox.ts";
import { handOverTree } from "../sandbox/user.ts";
import { removeTree } from "../store/store.ts";
import { channelOptions, parse, usage, type Command } from "./command.ts";
import { complain } from "./print.ts";

const help = `
usage: anvil shell <recipe> [options] [-- command…]

Opens a shell in the sandbox of a recipe: same root, inputs, environment and paths as its build. After a failed build it
is that build's own folder, as the step left it; else a fresh one, where \`bash /anvil/step.sh\` runs the whole step.
What is changed in a fresh one is gone when the shell ends.

  --channel <name>   another than the one of this folder (\`anvil channel\`)

examples:
  anvil shell zfs
  anvil shell linux -- make -C /build/linux V=1

exit status: that of the shell
`;

export const command: Command = {
  summary: "open a shell in the sandbox of a recipe",
  help,
  async run(args, project) {
    const end = args.indexOf("--");
    const { values, positionals } = parse(end === -1 ? args : args.slice(0, end), help, channelOptions);
    const argv = end === -1 ? [] : args.slice(end + 1);
    const [name] = positionals;
    if (name === undefined || positionals.length > 1) throw usage("name one recipe", help);
    const store = project.store;
    const { channel } = await project.selectChannel(values.channel);
    const evaluation = project.evaluate([(await project.targets()).find(name)], channel);
    const [key] = evaluation.targets;
    const node = key === undefined ? undefined : evaluation.nodes.get(key);
    if (node === undefined || node.derivation.kind !== "step")
      throw new Fault("E_NO_TARGET", `${name} is not built by a script, so it has no sandbox`);
    const step = node.derivation;
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
      const bubblewrap = store.outputPath(seedFor(evaluation, node));
      const user = await openSandbox(bubblewrap);
      const limits = readLimits(project.env);
      if (!kept) stage(step, work, project.root, { user, limits });
      // another forge of root's may have had another id
      else for (const name of ["build", "out", "tmp"]) handOverTree(user, path.join(work, name));
      const sandbox = stepSandbox(step, work, { store, bubblewrap, user, limits });
      const env = { ...sandbox.env, JOBS: "1", TERM: process.env["TERM"] ?? "dumb", PS1: `${step.name}:\\w\\$ ` };
      const inner = argv.length > 0 ? argv : ["/usr/bin/bash", "--norc"];
      if (argv.length === 0)
        complain(
          `${kept ? "the sandbox that failed" : "a fresh sandbox"} of ${step.name} ${step.version}; the step is /anvil/step.sh\n`,
        );
      return await ended(
        spawnSandbox({ ...sandbox, env, terminal: true }, inner, { stdio: ["inherit", "inherit", "inherit"] }),
      );
    } finally {
      if (!kept) removeTree(work);
    }
  },
};

function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}
