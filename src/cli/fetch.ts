import { evaluate } from "../forge/evaluate.ts";
import { realise } from "../forge/forge.ts";
import { chooseView } from "../ui/open.ts";
import { openStore, parse, projectRoot, readPins, selectChannel, writePin, type Command } from "./command.ts";
import { crates, mirrors, onInterrupt, realiseOptions } from "./realise-options.ts";
import { namedTargets } from "./targets.ts";

const help = `
usage: anvil fetch [target…] [options]

Downloads every source and every package of the seed that a forge of the targets needs, and builds nothing. Afterwards that
forge needs no network. Without a target: all for the ISO.

  --channel <name>            debian, rfc-0054, or auto (default): the first whose sources can be had
  --keep-going                after a failure go on with the other downloads
  --accept-unverified <name>  take a source whose pin is marked doubtful; may be repeated
  --debian-mirror <url>       root of a Debian mirror; may be repeated (default: ANVIL_DEBIAN_MIRROR,
                              else this machine's APT configuration)
  --crates-mirror <url>       sparse index of a registry of Rust crates; may be repeated (default:
                              ANVIL_CRATES_MIRROR, else this machine's cargo configuration)
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
  async run(args) {
    const { values, positionals } = parse(args, help, realiseOptions);
    const targets = namedTargets(positionals);
    const store = openStore();
    const { channel, why } = await selectChannel(values.channel, store, targets);
    const evaluation = evaluate(targets, { project: projectRoot(), channel, pins: readPins(store, channel) });
    const fetches = [...evaluation.nodes.values()].filter(({ derivation }) => derivation.kind === "fetch");
    const view = chooseView({ json: values.json, plain: values.plain, stream: process.stdout, env: process.env });
    const interrupt = onInterrupt();
    try {
      const downloads = {
        ...evaluation,
        nodes: new Map(fetches.map((node) => [node.key, node])),
        targets: fetches.map(({ key }) => key),
      };
      const { ok } = await realise(downloads, {
        project: projectRoot(),
        store,
        why,
        // downloads take no job tokens
        jobs: 1,
        keepGoing: values["keep-going"],
        acceptUnverified: new Set(values["accept-unverified"]),
        mirrors: () => mirrors(values),
        crates: () => crates(values),
        onPin: (component, sha256) => writePin(store, channel, component, sha256),
        expected: new Map(),
        signal: interrupt.signal,
        on: view,
      });
      if (interrupt.signal.aborted) return 130;
      return ok ? 0 : 1;
    } finally {
      view.close();
      interrupt.close();
    }
  },
};
