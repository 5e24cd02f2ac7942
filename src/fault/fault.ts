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

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "part of its path is not a folder",
  EISDIR: "it is a folder",
  EEXIST: "it exists already",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk is full",
  ELOOP: "its links lead in a circle",
  ENAMETOOLONG: "its name is too long",
};

/** Why a file that the user has named cannot be used, in words. */
export function reasonOf(error: unknown): string {
  const code = errno(error);
  return (code === undefined ? undefined : REASONS[code]) ?? (error instanceof Error ? error.message : String(error));
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
