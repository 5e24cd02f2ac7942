/** What `anvil lock` prints for a person. */
import { Fault, renderFault } from "../fault/fault.ts";
import type { Refresh } from "../source/lock.ts";
import type { Pin, PinChange } from "../source/pin-changes.ts";
import type { Problem } from "../source/releases.ts";

/** The differences, then a line that says what became of them. `names`: those that were asked for. */
export function renderRefresh(
  { changes, notes, problems }: Refresh,
  { written, names }: { readonly written: boolean; readonly names: readonly string[] },
): string {
  const proven = changes.filter(isOnlyProven);
  const others = changes.filter((change) => !proven.includes(change));
  const lines = others.flatMap(({ name, before, after, evidence = [] }) => [
    name,
    `  pinned   ${describe(before)}`,
    `  ${after?.urls === undefined ? "archive" : "author "}  ${describe(after)}`,
    ...(after?.urls === undefined ? [] : [`           ${after.urls[0]}`]),
    ...evidence.map((line) => `           ${line}`),
  ]);
  if (proven.length > 0) lines.push(`${proven.length} recorded pins are the same in the signed index`);
  lines.push(...notes.map(({ name, why }) => `${name}  ${why}`));
  const same = names.length === 0 ? "all pins are" : `${names.join(", ")}: pinned`;
  if (changes.length > 0) lines.push(end(changes.length, written));
  else if (problems.length === 0) lines.push(`${same} as they are published now`);
  return lines.map((line) => `${line}\n`).join("");
}

/** Components of one site that does not answer stand in one line. */
export function renderProblems(problems: readonly Problem[]): string {
  const groups = new Map<string, { readonly fault: Fault; readonly names: string[] }>();
  for (const { name, fault } of problems) {
    const group = groups.get(`${fault.code} ${fault.message}`);
    if (group === undefined) groups.set(`${fault.code} ${fault.message}`, { fault, names: [name] });
    else group.names.push(name);
  }
  const texts = [...groups.values()].map(({ fault, names }) => {
    const { code, message, details, hint } = fault;
    const whole = code === "E_UNAVAILABLE" ? `${message}: ${names.join(", ")}` : message;
    return renderFault(new Fault(code, whole, { details, ...(hint !== undefined && { hint }) }));
  });
  return texts.map((text) => `${text}\n`).join("");
}

/** The same file; only that a signature of the archive covers it is new. */
function isOnlyProven({ before, after, evidence }: PinChange): boolean {
  const file = (pin: Pin | undefined): string => JSON.stringify([pin?.version, pin?.archive, pin?.sha256, pin?.files]);
  return evidence === undefined && before?.verified === "recorded" && file(before) === file(after);
}

function end(count: number, written: boolean): string {
  return written
    ? `${count} written; the next forge builds what they change`
    : `${count} differ; --write takes them over`;
}

function describe(pin: Pin | undefined): string {
  if (pin === undefined) return "–";
  const size = pin.size === undefined ? "" : `  ${pin.size} bytes`;
  return `${pin.version}  sha256 ${pin.sha256 ?? "unknown"}${size}  ${pin.verified ?? ""}`.trim();
}
