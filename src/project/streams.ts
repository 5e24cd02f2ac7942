/** Standard streams, as a terminal has them or as a test. */
import type { ChildProcess } from "node:child_process";
import type { Readable, Writable } from "node:stream";

export interface Streams {
  readonly input: Readable & { readonly isTTY?: boolean; readonly fd?: number; setRawMode?(raw: boolean): unknown };
  readonly output: OutputStream;
  readonly errors: OutputStream;
}

export type OutputStream = Writable & {
  readonly isTTY?: boolean;
  readonly fd?: number;
  readonly rows?: number;
  readonly columns?: number;
};

type Stdio = number | "pipe";

/** A program on these streams: files and terminals are handed over, others are piped. */
export function stdioOf({ input, output, errors }: Streams): [Stdio, Stdio, Stdio] {
  return [input.fd ?? "pipe", output.fd ?? "pipe", errors.fd ?? "pipe"];
}

/** Joins what was piped. */
export function join(child: ChildProcess, { input, output, errors }: Streams): void {
  if (child.stdin !== null) input.pipe(child.stdin);
  child.stdout?.pipe(output, { end: false });
  child.stderr?.pipe(errors, { end: false });
}
