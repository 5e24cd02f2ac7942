/**
 * The one error type of the forge. A fault is an expected failure: it has a stable code that scripts may match, a
 * sentence, the lines that show what was found, and a way out. Anything else that is thrown is a broken invariant.
 */
import { printableLine } from "./printable.ts";

export interface FaultFields {
  /** Lines under the message: expected and found values, the places that were tried. */
  readonly details?: readonly string[];
  /** What the reader can do now. */
  readonly hint?: string;
  /** Path of a log file. */
  readonly log?: string;
  readonly cause?: unknown;
}

export class Fault extends Error {
  readonly code: `E_${string}`;
  readonly details: readonly string[];
  readonly hint: string | undefined;
  readonly log: string | undefined;

  constructor(code: `E_${string}`, message: string, fields: FaultFields = {}) {
    super(message, { cause: fields.cause });
    this.name = "Fault";
    this.code = code;
    this.details = fields.details ?? [];
    this.hint = fields.hint;
    this.log = fields.log;
  }

  /** The form for `--json`. */
  toJSON(): object {
    return { code: this.code, message: this.message, details: this.details, hint: this.hint, log: this.log };
  }
}

/** The code of a Node.js system error (`ENOENT`, …), or undefined. */
export function errno(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}

/**
 * The text that a user sees for a fault, several lines without a trailing newline. Much of it comes from others: no
 * part of it reaches the terminal as anything but text, or looks like another part.
 */
export function renderFault(fault: Fault): string {
  const lines = [`${fault.code}  ${fault.message}`];
  for (const detail of fault.details) lines.push(...detail.split("\n").map((line) => `  ${line}`));
  if (fault.hint !== undefined) lines.push(`  hint: ${fault.hint}`);
  if (fault.log !== undefined) lines.push(`  log:  ${fault.log}`);
  return lines.map(printableLine).join("\n");
}
