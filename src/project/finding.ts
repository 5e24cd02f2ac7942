import { Fault } from "../fault/fault.ts";

/** What was found of one thing that a forge needs of its machine. */
export interface Finding {
  readonly name: string;
  /** "warn": it works, but not as well as it could. */
  readonly level: "ok" | "warn" | "fail";
  readonly found: string;
  readonly hint?: string;
}

export type Verdict = Omit<Finding, "name">;

export const ok = (found: string): Verdict => ({ level: "ok", found });
export const warn = (found: string, hint: string): Verdict => ({ level: "warn", found, hint });
export const fail = (found: string, hint: string): Verdict => ({ level: "fail", found, hint });

/** A fault as a finding; what is no fault is a mistake in the program and goes on. */
export function failure(error: unknown): Verdict {
  if (!(error instanceof Fault)) throw error;
  const found = [`${error.code} ${error.message}`, ...error.details].join("; ");
  return error.hint === undefined ? { level: "fail", found } : fail(found, error.hint);
}
