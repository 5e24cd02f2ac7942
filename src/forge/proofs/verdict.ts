/** What a proof comes to. */

export interface Verdict {
  readonly ok: boolean;
  readonly detail: string;
}

/** No complaint is a pass; of several the first five are shown. */
export function verdict(complaints: readonly string[], found: string): Verdict {
  if (complaints.length === 0) return { ok: true, detail: found };
  const shown = complaints.slice(0, 5).join("; ");
  return { ok: false, detail: complaints.length > 5 ? `${shown}; and ${complaints.length - 5} more` : shown };
}
