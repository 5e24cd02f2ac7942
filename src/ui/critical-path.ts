/** Which nodes decided how long a run took. */
import type { NodeRun, Run } from "./run.ts";

/** A node on the critical path and how long it stood ready before it began, in milliseconds. */
export interface Link {
  readonly run: NodeRun;
  readonly waited: number;
}

/**
 * The chain of nodes that decided when the run ended: from the node that ended last, back each time to the one of its
 * needs that ended last, as far as this run made them. First to last.
 */
export function criticalPath(run: Run): Link[] {
  const ended = (node: NodeRun): number => node.end ?? run.t;
  const started = [...run.nodes.values()].filter((node) => node.start !== undefined);
  const links: Link[] = [];
  let node = latest(started, ended);
  while (node?.start !== undefined) {
    const { needs } = node.node;
    const before = latest(
      started.filter((other) => needs.includes(other.node.key)),
      ended,
    );
    links.unshift({
      run: node,
      waited: Math.max(0, node.start - (before === undefined ? 0 : ended(before))),
    });
    node = before;
  }
  return links;
}

function latest(nodes: readonly NodeRun[], time: (node: NodeRun) => number): NodeRun | undefined {
  return nodes.reduce<NodeRun | undefined>(
    (last, node) => (last === undefined || time(node) > time(last) ? node : last),
    undefined,
  );
}
