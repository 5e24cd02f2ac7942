/** The proof that a program of the output runs. */
import type { Proof } from "../../recipe/proof.ts";
import type { Tree } from "../tree.ts";
import { resolve } from "./patterns.ts";
import type { Verdict } from "./verdict.ts";

/** Runs a command in the sandbox, where the output is mounted at /out; `output` is stdout and stderr. */
export type RunInside = (argv: readonly string[]) => Promise<{ readonly status: number; readonly output: string }>;

export async function proveRuns(proof: Proof & { check: "runs" }, tree: Tree, run: RunInside): Promise<Verdict> {
  if (resolve(tree, proof.path)?.kind !== "file") return { ok: false, detail: `no program is at ${proof.path}` };
  const { status, output } = await run([`/out/${proof.path}`, ...proof.args]);
  // "m": a pattern with ^ and $ means a line of the output, as in "contains"
  const match = new RegExp(proof.matches, "m").exec(output);
  const excerpt = output.trim().split("\n").slice(0, 3).join(" / ").slice(0, 300);
  if (status !== 0) return { ok: false, detail: `exits with ${status}: ${excerpt}` };
  if (match === null) return { ok: false, detail: `prints no /${proof.matches}/: ${excerpt}` };
  return { ok: true, detail: match[0].trim() };
}
