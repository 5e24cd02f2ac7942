/**
 * What the engine is held to, measured on this machine, as a markdown table. Needs a finished `anvil forge`;
 * `node dist/bench/run.mjs [target…]` takes other targets for the row "nothing to do".
 */
import { measureChain } from "./chain.ts";
import { measureOutput, measureUnpacking } from "./memory.ts";
import { measureNoop } from "./noop.ts";

const cleaning: (() => void)[] = [];
const t = { after: (act: () => void): void => void cleaning.push(act) };
const milliseconds = (value: number): string => `${value.toFixed(0)} ms`;
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;

function row(...cells: readonly string[]): void {
  process.stdout.write(`| ${cells.join(" | ")} |\n`);
}

try {
  row("what", "at most", "measured", "beside it");
  row("---", "---", "---", "---");
  const noop = measureNoop(t, process.argv.slice(2));
  row(
    "nothing to do, whole process",
    "300 ms",
    milliseconds(noop.seconds * 1000),
    `bare node: ${milliseconds(noop.node * 1000)}`,
  );
  row("nothing to do, downloads read", "0", String(noop.use.sources), `files opened: ${noop.use.opened}`);
  const chain = await measureChain(t, 5);
  const beside = (name: string, value: number): string =>
    `${name}: ${milliseconds(value)}, ratio ${(chain.forge / value).toFixed(2)}`;
  const ratio = [
    beside("bare sandbox", chain.bare),
    chain.nix === undefined ? "Nix is not installed" : beside("Nix", chain.nix),
  ].join("; ");
  row("a trivial step in a chain of 60", "50 ms", milliseconds(chain.forge), ratio);
  row("memory: unpacking the largest seed", "300 MB", megabytes(measureUnpacking(t)), "");
  row("memory: a million lines of output", "300 MB", megabytes(await measureOutput(t)), "");
  row("memory: nothing to do", "300 MB", megabytes(noop.use.peak), "");
} finally {
  cleaning.forEach((act) => act());
}
