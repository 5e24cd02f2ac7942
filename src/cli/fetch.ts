import type { Evaluation } from "../forge/evaluate.ts";
import { realise, type RealiseOptions } from "../forge/forge.ts";
import { wholePlan } from "../forge/plan.ts";
import { chooseView } from "../ui/open.ts";
import { parse, type Command } from "./command.ts";
import { downloads } from "../project/places.ts";
import { onInterrupt } from "./interrupt.ts";
import { cratesHelp, mirrorHelp, placesOf, realiseOptions } from "./realise-options.ts";

const help = `
usage: anvil fetch [target…] [options]

Downloads every source and every package of the seed that a forge of the targets needs, and builds nothing. Afterwards that
forge needs no network. Without a target: all for the ISO.

  --channel <name>            another than the one of this folder (\`anvil channel\`)
  --keep-going                after a failure go on with the other downloads
  --accept-unverified <name>  take a source whose pin is marked doubtful; may be repeated
  ${mirrorHelp}
  ${cratesHelp}
  --json                      one JSON object per event (docs/events.md)
  --plain                     lines, even on a terminal

examples:
  anvil fetch
  anvil fetch linux --channel rfc-0054 --keep-going

exit status: 0 all there, 1 something failed, 2 wrong usage, 130 interrupted
`;

export const command: Command = {
  summary: "download all that a forge needs, build nothing",
  help,
  async run(args, { project, terminal }) {
    const { values, positionals } = parse(args, help, realiseOptions);
    const targets = (await project.targets()).named(positionals);
    const store = project.store;
    const { channel, why } = await project.selectChannel(values.channel);
    const evaluateNow = (): Evaluation => project.evaluate(targets, channel);
    const evaluation = evaluateNow();
    const view = chooseView({
      json: values.json,
      plain: values.plain,
      stream: terminal.streams.output,
      env: project.env,
    });
    const interrupt = onInterrupt();
    try {
      const places = downloads(project, placesOf(values), evaluation);
      const note = await places.note();
      const options: RealiseOptions = {
        project: project.root,
        store,
        why: note === "" ? why : `${why}; ${note}`,
        // downloads take no job tokens
        jobs: 1,
        keepGoing: values["keep-going"],
        acceptUnverified: new Set(values["accept-unverified"]),
        mirrors: places.mirrors,
        crates: places.crates,
        onPin: (component, sha256) => project.keepPin(channel, component, sha256),
        expected: new Map(),
        signal: interrupt.signal,
        on: view,
      };
      const make = async (plan: Evaluation): Promise<boolean> => (await realise(plan, options)).ok;
      const fetch = async (plan: Evaluation): Promise<boolean> => {
        const seed = await places.seedForCrates();
        if (seed !== undefined && !(await make({ ...plan, targets: [seed] }))) return false;
        return make(onlyFetches(plan));
      };
      let ok = await fetch(evaluation);
      if (ok && evaluation.pending.length > 0) {
        // lock files in sources name more
        const whole = await wholePlan(evaluation, evaluateNow, make);
        if (whole !== undefined) places.follow(whole);
        ok = whole !== undefined && (await fetch(whole));
      }
      if (interrupt.signal.aborted) return 130;
      return ok ? 0 : 1;
    } finally {
      view.close();
      interrupt.close();
    }
  },
};

function onlyFetches(plan: Evaluation): Evaluation {
  const fetches = [...plan.nodes.values()].filter(({ derivation }) => derivation.kind === "fetch");
  return { ...plan, nodes: new Map(fetches.map((node) => [node.key, node])), targets: fetches.map(({ key }) => key) };
}
