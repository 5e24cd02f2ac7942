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

/** The first line of a fault, as programs of the Monolith print it, too. */
const FIRST_LINE = /^(E_[A-Z][A-Z_]*) +(.*)$/;

/**
 * The fault in a text that another program rendered as above; undefined when there is none. What stands before its first
 * line is passed over, and what is behind belongs to it.
 */
export function parseFault(text: string): Fault | undefined {
  const lines = text.split("\n").map((line) => line.trim());
  const at = lines.findIndex((line) => FIRST_LINE.test(line));
  const [, code, message = ""] = FIRST_LINE.exec(lines[at] ?? "") ?? [];
  if (code === undefined) return undefined;
  const rest = lines.slice(at + 1).filter((line) => line !== "");
  const take = (word: string): string | undefined => {
    const found = rest.findLastIndex((line) => line.startsWith(`${word}: `));
    return found === -1
      ? undefined
      : rest
          .splice(found, 1)[0]
          ?.slice(word.length + 1)
          .trim();
  };
  const log = take("log");
  const hint = take("hint");
  return new Fault(code as `E_${string}`, message, {
    details: rest,
    ...(hint === undefined ? {} : { hint }),
    ...(log === undefined ? {} : { log }),
  });
}
